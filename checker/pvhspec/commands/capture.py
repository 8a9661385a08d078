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

NOT_TOGETHER = code("PVH513", "Options of capture that do not go together.")
NO_PROGRAM = code("PVH506", "There is no program of this name, and no file.")


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = command(
        subparsers,
        "capture",
        "record a trace of a hypervisor under QEMU",
        "The probe guest is started by the hypervisor, records its entry state, runs a program if "
        "one is given, and everything it saw is written as a trace, with the hypervisor's console "
        "beside it. With --guest it is a kernel of yours that Xen starts, unchanged, and its "
        "hypercalls are recorded from outside: arguments, results, and the memory they point to.",
        """
pvhspec capture --xen 4.17 -o entry.jsonl
pvhspec capture --xen ~/xen/xen/xen.gz --program ports.prog --width 64 -o ports.jsonl
pvhspec capture --xen 4.17 --guest linux -o linux.jsonl
pvhspec capture --qemu microvm | pvhspec check -
""",
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--xen", metavar="IMAGE|VERSION", help="Xen, with the probe as PVH dom0")
    target.add_argument("--qemu", metavar="MACHINE", help="QEMU's own PVH loader: pc, q35, microvm")
    add = parser.add_argument
    add("--guest", metavar="FILE", help="with --xen: a vmlinux or vmlinuz; `linux` is Debian's")
    add("--append", metavar="TEXT", help="command line of --guest (default: a quiet console)")
    add("--initrd", metavar="FILE", help="initial ramdisk of --guest")
    add("--calls", type=int, metavar="N", help="end the run of --guest after N hypercalls")
    add("--accel", choices=("tcg", "kvm"), default="tcg", help="for --qemu (default: tcg)")
    add("--program", metavar="FILE", help="what the probe is to do; a file, or an included one")
    add("--width", type=int, choices=(32, 64), default=64, help="of the probe (default: 64)")
    add("--vcpus", type=int, default=1, metavar="N", help="vCPUs of the guest (default: 1)")
    add("--timeout", type=float, metavar="SECONDS", help="default: 30, for --guest 300")
    add("-o", "--output", default="-", metavar="FILE", help="default: standard output")
    spec_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from pvhspec.targets import capture_qemu, capture_xen

    if args.guest is not None:
        _write(_of_guest(args), args.output)
        return 0
    _only_for_guests(args)
    if args.timeout is None:
        args.timeout = 30.0
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


def _of_guest(args: argparse.Namespace) -> Capture:
    from pvhspec.programs.reach import ranges_of
    from pvhspec.targets import capture_guest
    from pvhspec.targets.guest_dom0 import CMDLINE

    if args.xen is None or args.program is not None or args.vcpus != 1:
        remedy = "give --xen, and leave out --program and --vcpus: it does what it does, on one"
        raise PvhError(Diagnostic(NOT_TOGETHER, "--guest goes with --xen alone", remedy))
    if args.calls is not None and args.calls < 1:
        raise PvhError(Diagnostic(NOT_TOGETHER, "--calls: at least 1", "or leave it out"))
    return capture_guest(
        args.xen,
        args.guest,
        cmdline=CMDLINE if args.append is None else args.append,
        initrd=None if args.initrd is None else Path(args.initrd),
        ranges=ranges_of(spec_of(args.spec)),
        calls=args.calls,
        timeout=300.0 if args.timeout is None else args.timeout,
    )


def _only_for_guests(args: argparse.Namespace) -> None:
    for name in ("append", "initrd", "calls"):
        if getattr(args, name) is not None:
            remedy = "the probe takes --program"
            raise PvhError(Diagnostic(NOT_TOGETHER, f"--{name} is for --guest", remedy))


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
