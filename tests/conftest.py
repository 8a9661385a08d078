"""What every test finds: interrupts that interrupt.

A shell that runs the tests in the background has interrupts ignored, and every program started
from here would inherit that; the tests that interrupt one would wait for nothing.
"""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
