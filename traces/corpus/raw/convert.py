"""Makes ../real from the captures in this folder: `python traces/corpus/raw/convert.py [OUT]`.

All of them are read by pvhspec itself. What their tools did not write down is said here, and the
guest's dump is put together with the log of its calls.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pvhspec.traces import ObjectTrace, Trace, TraceWriter, open_trace
from pvhspec.traces.encode import encode_event
from pvhspec.traces.registers import packed_attributes

RAW = Path(__file__).parent
XEN = "xen-4.17-dom0-pvh-18-hypercalls"


def header(method: str, tool: str, file: str, hypervisor: str, mode: str) -> dict[str, Any]:
    """A header; no capture here has all memory, and the entry states have no calls at all."""
    name, version = hypervisor.split()
    return {
        "schema": "pvh-trace/1",
        "origin": {"method": method, "tool": tool, "file": file},
        "hypervisor": {"name": name, "version": version},
        "guest": {"mode": mode},
        "clock": "none",
        "from_boot": True,
        "complete": {"events": True, "args": False, "results": False, "memory": False},
    }


def memory(view: str, address: int, content: str, what: str) -> dict[str, Any]:
    """A `mem` event."""
    return {"kind": "mem", "view": view, "gpa": address, "bytes": content, "what": what}


def kvm_entry(path: Path) -> Trace:
    """Entry states of a small VMM, with what its file does not say."""
    tool = "a small VMM of this project, which sets the state itself"
    events = (encode_event(event._replace(origin=None)) for event in open_trace(path))
    known = header("ioctl", tool, path.name, "kvm 6.12", "pvh_boot")
    return ObjectTrace(known, events, path.name)


def xen_calls(path: Path) -> Trace:
    """What a reader of QEMU's single-step log kept, and the guest's own dump of its memory."""
    dump = path.with_name(f"{XEN}.debugcon.bin").read_bytes()
    dump = dump[dump.index(bytes.fromhex("78c56e33")) :]
    structs = dump[56 + 192 + 18 * 28 :]  # start_info, low memory, rows of calls, then the structs
    first = 0x1011F8

    def at_end(address: int, size: int) -> str:
        return structs[address - first :][:size].hex()

    # Structs no later call of the run used: their bytes at the end are those after the call.
    own = {
        (17, 0x1, 0x101200): 16,
        (34, 0x1, 0x101210): 16,
        (34, 0x1, 0x101220): 16,
        (32, 0x6, 0x101230): 8,
        (32, 0x7, 0x101238): 8,
        (32, 0x4, 0x101240): 4,
        (32, 0x5, 0x101244): 24,
    }

    def events() -> Iterator[dict[str, Any]]:
        yield {
            "kind": "note",
            "text": "registers, calls and results are from the single-step log, start_info and the "
            "structs of calls from the guest's dump at the end of the run; cr0 (0x19), cr4 (0x40) "
            "and efer (0x1000) of the VMCB are not what the guest has, and left out",
        }
        for number, text in enumerate(path.read_text().splitlines(), 1):
            line = json.loads(text)
            origin = f"{path.name}@{number}"
            if line["kind"] == "entry":
                registers = {("eflags" if r == "efl" else r): v for r, v in line["regs"].items()}
                ebx = int(registers["ebx"], 16)
                yield memory("guest", ebx, dump[:56].hex(), "start_info and 16 bytes more")
                del registers["cr0"], registers["cr4"]
                segments = {}
                for name, s in line["segs"].items():
                    register = "ldtr" if name == "LDT" else name.lower()
                    segments[register] = {**s, "attr": packed_attributes(int(s["attr"], 16))}
                yield {"kind": "entry", "dom": 0, "vcpu": 0, "origin": origin, "view": "hw",
                       "regs": registers, "segs": segments}  # fmt: skip
            elif line["kind"] == "hypercall":
                args = [int(a, 16) for a in line["args"]]
                call: dict[str, Any] = {"kind": "hypercall", "dom": 0, "vcpu": 0, "origin": origin}
                call |= {"width": line["abi"], "nr": line["nr"], "args": args, "ret": line["ret"]}
                if int(line["rip"], 16) == 0x102000 + 32 * line["nr"] + 5:
                    call["via"] = "page"
                size = own.get((line["nr"], args[0], args[1]))
                if size is not None and line["ret"] == 0:
                    call["out"] = [[args[1], at_end(args[1], size)]]
                yield call
        yield {"kind": "end", "reason": "cut", "text": "the log was stopped"}

    known = header("singlestep", "QEMU 7.2 TCG, -d in_asm,cpu", path.name, "xen 4.17.7", "pvh_dom0")
    known["complete"] |= {"args": True, "results": True}
    return ObjectTrace(known, events(), path.name)


def main(out: Path) -> None:
    """Write every trace into this folder."""
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(RAW.glob("*.json*")):
        if path.name.startswith("entry-injected-"):
            trace = kvm_entry(path)
        elif path.stem == XEN:
            trace = xen_calls(path)
        else:
            trace = open_trace(path)
        with TraceWriter(out / f"{path.stem}.jsonl", trace.header) as writer:
            for event in trace:
                writer.write(event)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else RAW.parent / "real")
