"""Programs for the probe guest as text, by the names of the specification.

`compile_text` and `compile_file` make a `pvhspec.targets.Program` for callers of one width;
`show_step` and `show_program` go back. The language is described in traces/capture/programs.
"""

from __future__ import annotations

from pvhspec.programs.calls import Layouts
from pvhspec.programs.compile import Compiled, Width, compile_file, compile_text
from pvhspec.programs.show import show_program, show_step

__all__ = [
    "Compiled",
    "Layouts",
    "Width",
    "compile_file",
    "compile_text",
    "show_program",
    "show_step",
]
