"""`pvhspec capture`: a trace of a hypervisor under QEMU, written in the project's own format."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pvhspec.commands.common import Subparsers, command, spec_of, spec_option
from pvhspec.diagnostics import Diagnostic, PvhError, code

if TYPE_CHECKING:
    from pvhspec.targets import Capture, Program

__all__ = ["add_parser", "run"]

NO_PROGRAM = code("PVH506", "There is no program of this name, and no file.")


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "capture",
        "record a trace of a hypervisor under QEMU",
        "The probe guest is started by the hypervisor, records its entry state, runs a program if "
        "one is given, and everything it saw is written as a trace, with the hypervisor's console "
        "beside it.",
        """
pvhspec capture --xen 4.17 -o entry.jsonl
pvhspec capture --xen ~/xen/xen/xen.gz --program ports.prog --width 64 -o ports.jsonl
pvhspec capture --qemu microvm | pvhspec check -
""",
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--xen", metavar="IMAGE|VERSION", help="Xen, with the probe as PVH dom0")
    target.add_argument("--qemu", metavar="MACHINE", help="QEMU's own PVH loader: pc, q35, microvm")
    add = parser.add_argument
    add("--accel", choices=("tcg", "kvm"), default="tcg", help="for --qemu (default: tcg)")
    add("--program", metavar="FILE", help="what the probe is to do; a file, or an included one")
    add("--width", type=int, choices=(32, 64), default=64, help="of the probe (default: 64)")
    add("--vcpus", type=int, default=1, metavar="N", help="vCPUs of the guest (default: 1)")
    add("--timeout", type=float, default=30.0, metavar="SECONDS", help="default: 30")
    add("-o", "--output", default="-", metavar="FILE", help="default: standard output")
    spec_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from pvhspec.targets import capture_qemu, capture_xen

    program = _program(args)
    if args.xen is not None:
        capture = capture_xen(
            args.xen, program, width=args.width, vcpus=args.vcpus, timeout=args.timeout
        )
    else:
        capture = capture_qemu(
            args.qemu,
            program,
            width=args.width,
            accel=args.accel,
            vcpus=args.vcpus,
            timeout=args.timeout,
        )
    _write(capture, args.output)
    return 0


def _program(args: argparse.Namespace) -> Program:
    from pvhspec.targets import Program

    if args.program is None:
        return Program()
    from pvhspec import _data
    from pvhspec.programs import compile_file

    path = Path(args.program)
    included = _data.traces_dir() / "capture" / "programs"
    if not path.exists():
        path = included / f"{args.program}.prog"
        if not path.exists():
            names = ", ".join(sorted(p.stem for p in included.glob("*.prog")))
            remedy = f"give a file, or one of those included: {names}"
            raise PvhError(Diagnostic(NO_PROGRAM, f"no program {args.program}", remedy))
    compiled, errors = compile_file(path, spec_of(args.spec), args.width)
    if compiled is None:
        raise PvhError(*errors)
    return compiled.program


def _write(capture: Capture, output: str) -> None:
    """The trace, and the console beside it; a file is there whole or not at all."""
    lines = "".join(
        f"{json.dumps(item, ensure_ascii=False)}\n" for item in (capture.header, *capture.events)
    )
    end = capture.events[-1] if capture.events else {}
    told = f"{len(capture.events):,} events in {capture.seconds:.1f} s"
    if end.get("reason") not in (None, "shutdown"):
        told += f"; the run ended by {end['reason']}: {end.get('text', '')}".rstrip(": ")
    if output == "-":
        sys.stdout.write(lines)
        print(told, file=sys.stderr)
        return
    target = Path(output)
    if target.exists() and not target.is_file():
        target.write_text(lines)
    else:
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            part.write_text(lines)
            part.replace(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, output) from None
        if capture.console:
            target.with_suffix(".console.txt").write_text(capture.console)
    print(f"{output}: {told}", file=sys.stderr)
