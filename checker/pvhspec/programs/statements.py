"""One statement of a program's text as the steps it stands for."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pvhspec.programs import grants, shared
from pvhspec.programs.calls import Layout, Layouts, call
from pvhspec.programs.errors import BAD_NUMBER, BAD_STEP, NO_FIELD, UNKNOWN_NAME, Bad, alike
from pvhspec.programs.shared import Words
from pvhspec.programs.tokens import Cursor, Token
from pvhspec.programs.values import Names, number, operand
from pvhspec.targets import steps as st
from pvhspec.targets.steps import Buf, Hypercall, Operand, Step
from pvhspec.targets.wire import SHARED_WHAT

__all__ = ["racing", "steps"]

_SHARED = (*SHARED_WHAT[:4], *SHARED_WHAT[5:8])
_USED = "hypercall_page, shared_info, vcpu_info, fifo_page or fifo_block"
_OPS: dict[str, Literal["or", "and", "set"]] = {"|=": "or", "&=": "and", "=": "set"}
_WORDS = (
    "cpuid", "rdmsr", "wrmsr", "read", "write", "use", "map", "fill", "snapshot", "store", "set",
    "grant", "look", "touch",
    "clear", "window", "note", "hang", "hypercall", "let", "for", "on", "define", "do", "watch",
    "also", "needs", "start", "send", "await", "race", "fifo", "apic",
)  # fmt: skip


def steps(at: Cursor, names: Names, layouts: Layouts, words: Words) -> list[Step]:
    """The steps of one statement. Raises Bad."""
    first = at.now
    if at.peek().text == "=" and first.kind in ("name", "slot"):
        at.take()
        at.take()
        found: list[Step] = [_call(at, names, layouts, first)]
    elif first.kind != "name":
        raise at.bad("a step expected")
    elif first.text in layouts.operations and at.peek().text == "(":
        found = [_call(at, names, layouts, None)]
    else:
        found = _plain(at, names, layouts, words)
    at.end()
    return found


def _plain(at: Cursor, names: Names, layouts: Layouts, words: Words) -> list[Step]:
    first = at.now
    match first.text:
        case "hypercall":
            return [_raw(at, names, layouts, None)]
        case "set" | "clear":
            return shared.change(at, names, words)
    at.take()
    match first.text:
        case "cpuid":
            leaf = _u32(at, names)
            return [st.Cpuid(leaf, _u32(at, names) if at.accept(",") else 0)]
        case "rdmsr":
            return [st.ReadMsr(_u32(at, names))]
        case "wrmsr":
            index = _u32(at, names)
            at.expect(",")
            return [st.WriteMsr(index, operand(at, names))]
        case "read":
            return [_read(at, names)]
        case "write":
            address = operand(at, names)
            at.expect(",")
            return [st.Write(address, _hex(at, names))]
        case "touch":
            frame = operand(at, names)
            at.expect(",")
            return [st.Touch(frame, operand(at, names))]
        case "use":
            return [_use(at, names, words)]
        case "map":
            if at.accept("grants"):
                return grants.map_table(at, names, words)
            at.expect("shared_info")
            return shared.map_shared_info(_page(at, names), words)
        case "grant":
            return grants.write_entry(at, names, words)
        case "look":
            at.expect("at")
            at.expect("grants")
            return grants.look(at, names, words)
        case "fill":
            at.expect("hypercall_page")
            return shared.fill_page(_page(at, names))
        case "snapshot":
            vcpus = _u32(at, names) if at.accept("vcpus") else 1
            return [st.Shared(vcpus, _width(at, names))]
        case "fifo":
            return [st.Fifo(_u32(at, names) if at.accept("vcpus") else 1)]
        case "apic":
            register = _u32(at, names)
            at.expect("=")
            return [st.Apic(register, _u32(at, names))]
        case "store":
            return [_store(at, names)]
        case "window":
            return [_window(at, names)]
        case "note":
            return [st.Note(str(at.of_kind("string", "a text in quotes").value))]
        case "hang":
            return [st.Hang()]
        case "start":
            return _start(at, names)
        case "send":
            at.expect("sipi")
            return [st.Sipi()]
        case "await":
            at.expect("vcpu")
            return [st.AwaitVcpu()]
    remedy = alike(first.text, [*layouts.operations, *_WORDS])
    raise Bad(UNKNOWN_NAME, first.place, f"no operation or step is called {first.text}", remedy)


def _u32(at: Cursor, names: Names) -> int:
    place = at.now.place
    value = number(at, names)
    if not 0 <= value < 1 << 32:
        raise Bad(BAD_NUMBER, place, "the number has 32 bits")
    return value


def _width(at: Cursor, names: Names) -> Literal[0, 32, 64]:
    word = at.accept("width")
    if word is None:
        return 0
    match number(at, names):
        case 32:
            return 32
        case 64:
            return 64
    raise Bad(BAD_NUMBER, word.place, "a width is 32 or 64")


def _page(at: Cursor, names: Names) -> int:
    """`at OFFSET`: a page of the area."""
    word = at.accept("at")
    offset = _u32(at, names) if word is not None else 0
    if offset % 4096 or offset >= st.AREA_SIZE:
        place = word.place if word is not None else at.now.place
        raise Bad(BAD_NUMBER, place, f"a page of the area: a multiple of 4096 below "
                  f"{st.AREA_SIZE:#x}")  # fmt: skip
    return offset


def _hex(at: Cursor, names: Names) -> bytes:
    """`"0011"`, or `"ee" * 64`."""
    token = at.of_kind("string", 'bytes in hexadecimal, as "0011",')
    try:
        data = bytes.fromhex(str(token.value))
    except ValueError:
        raise Bad(BAD_NUMBER, token.place, "not bytes in hexadecimal", 'as "f07f 0000"') from None
    times = number(at, names) if at.accept("*") else 1
    if not 0 <= times * len(data) <= st.AREA_SIZE:
        raise Bad(BAD_NUMBER, token.place, "more bytes than there is room for")
    return data * times


def _read(at: Cursor, names: Names) -> Step:
    address = operand(at, names)
    at.expect(",")
    length = _u32(at, names)
    what = str(at.of_kind("string", "a label in quotes").value) if at.accept(",") else ""
    return st.Read(address, length, what)


def _use(at: Cursor, names: Names, words: Words) -> Step:
    what = at.of_kind("name", _USED)
    match what.text:
        case "hypercall_page":
            return st.UseHypercallPage(operand(at, names))
        case "shared_info":
            address = operand(at, names)
            width = _width(at, names)
            words.use(width)
            return st.UseSharedInfo(address, width)
        case "vcpu_info":
            vcpu = _u32(at, names)
            at.expect(",")
            return st.UseVcpuInfo(vcpu, operand(at, names))
        case "fifo_page" | "fifo_block":
            index = _u32(at, names)
            at.expect(",")
            kind: Literal["page", "block"] = "page" if what.text == "fifo_page" else "block"
            return st.UseFifo(kind, index, operand(at, names))
    raise Bad(BAD_STEP, what.place, f"{_USED} expected")


def _store(at: Cursor, names: Names) -> Step:
    what = at.of_kind("name", "a shared word")
    for known in _SHARED:
        if what.text == known:
            at.expect("[")
            index = _u32(at, names)
            at.expect("]")
            mark = at.accept(*_OPS)
            if mark is None:
                raise at.bad("`|=`, `&=` or `=` expected")
            return st.Store(known, index, _OPS[mark.text], operand(at, names))  # type: ignore[arg-type]
    remedy = alike(what.text, _SHARED) or f"one of {', '.join(_SHARED)}"
    raise Bad(UNKNOWN_NAME, what.place, f"no shared word is called {what.text}", remedy)


def _start(at: Cursor, names: Names) -> list[Step]:
    """`start vcpu N`, by VCPUOP_initialise and VCPUOP_up; `by sipi` through the local APIC."""
    word = at.expect("vcpu")
    vcpu = _u32(at, names)
    if at.accept("by"):
        at.expect("sipi")
        return [st.Sipi(), st.AwaitVcpu()]
    if not vcpu:
        raise Bad(BAD_NUMBER, word.place, "vCPU 0 runs already")
    return shared.start_vcpu(vcpu)


def racing(at: Cursor, names: Names, layouts: Layouts, words: Words) -> tuple[int, Hypercall]:
    """`vcpu N CALL`: a line of a race. Raises Bad."""
    place = at.expect("vcpu").place
    vcpu = number(at, names)
    if vcpu not in (0, 1):
        raise Bad(BAD_NUMBER, place, "vCPUs 0 and 1 take part in a race")
    (step,) = steps(at, names, layouts, words)
    if not isinstance(step, Hypercall):
        raise Bad(BAD_STEP, place, "only calls are made in a race")
    return vcpu, step


def _window(at: Cursor, names: Names) -> Step:
    found = st.Window()
    while word := at.accept("spins", "limit", "keep"):
        if word.text == "keep":
            found = replace(found, clear=False)
        elif word.text == "spins":
            found = replace(found, spins=_u32(at, names))
        else:
            found = replace(found, limit=_u32(at, names))
    return found


# ---- calls ------------------------------------------------------------------------------------


def _call(at: Cursor, names: Names, layouts: Layouts, into: Token | None) -> Step:
    name = at.now
    if name.text == "hypercall":
        return _raw(at, names, layouts, into)
    layout = layouts.named(at.of_kind("name", "an operation").text)
    if layout is None:
        remedy = alike(name.text, layouts.operations) or "or a number: hypercall 32(6, buffer 0)"
        raise Bad(UNKNOWN_NAME, name.place, f"no operation is called {name.text}", remedy)
    given, memory, arrays = _arguments(at, names, layout)
    saved = None
    if into is not None:
        at.expect("->")
        what = at.of_kind("name", "a field, or result,")
        if what.text != "result" and what.text not in layout.fields:
            raise _no_field(layout, what)
        saved = (names.slot_for(into), what.text, at.accept("always") is not None)
    try:
        step = call(layout, given, memory, saved, arrays)
    except ValueError as error:
        raise Bad(BAD_NUMBER, name.place, str(error)) from None
    if saved is not None and saved[1] != "result" and not step.buffers:
        raise Bad(NO_FIELD, name.place, "there is no structure to take a field from")
    return _modified(at, names, step)


def _arguments(
    at: Cursor, names: Names, layout: Layout
) -> tuple[dict[str, Operand], Operand, dict[str, list[Operand]]]:  # fmt: skip
    at.expect("(")
    given: dict[str, Operand] = {}
    arrays: dict[str, list[Operand]] = {}
    memory: Operand = Buf(0)
    while not at.accept(")"):
        token = at.now
        if token.text in ("readonly", "unreadable"):
            memory = operand(at, names)
            if layout.pointer is None:
                raise Bad(NO_FIELD, token.place, f"{layout.op.name} takes no structure")
        else:
            name = at.of_kind("name", "a field").text
            if at.accept("."):
                name += "." + at.of_kind("name", "a field of the elements").text
            if name not in layout.takes():
                raise _no_field(layout, replace(token, text=name))
            at.expect("=")
            if name in layout.elements:
                arrays[name] = _elements(at, names)
            else:
                given[name] = operand(at, names)
        if not at.accept(","):
            at.expect(")")
            break
    return given, memory, arrays


def _elements(at: Cursor, names: Names) -> list[Operand]:
    """`(1, a, 3)`: the same field of one element after the other."""
    at.expect("(")
    found: list[Operand] = []
    while not at.accept(")"):
        found.append(operand(at, names))
        if not at.accept(","):
            at.expect(")")
            break
    return found


def _no_field(layout: Layout, token: Token) -> Bad:
    known = layout.takes()
    remedy = alike(token.text, known) or f"it takes {', '.join(known) or 'nothing'}"
    return Bad(NO_FIELD, token.place, f"{layout.op.name} has no {token.text}", remedy)


def _modified(at: Cursor, names: Names, step: Hypercall) -> Hypercall:
    """`via page` and `cpl 3`."""
    while word := at.accept("via", "cpl"):
        if word.text == "via":
            at.expect("page")
            step = replace(step, via="page")
        elif (cpl := number(at, names)) == 3 or cpl == 0:
            step = replace(step, cpl=3 if cpl == 3 else 0)
        else:
            raise Bad(BAD_NUMBER, word.place, "calls are made at cpl 0 or 3")
    return step


def _raw(at: Cursor, names: Names, layouts: Layouts, into: Token | None) -> Step:
    """`hypercall NUMBER(operand, …) with BYTES … save $N = …`."""
    at.take()
    first = at.now
    if first.kind == "name" and first.text in layouts.numbers:
        nr = layouts.numbers[at.take().text]
    else:
        nr = number(at, names)
    args: list[Operand] = []
    at.expect("(")
    while not at.accept(")"):
        args.append(operand(at, names))
        if not at.accept(","):
            at.expect(")")
            break
    buffers, saves = [], []
    while word := at.accept("with", "save"):
        if word.text == "with":
            buffers.append(_buffer(at, names))
        else:
            saves.append(_save(at, names))
    if into is not None:
        at.expect("->")
        at.expect("result")
        always = at.accept("always") is not None
        saves.append(st.Save(names.slot_for(into), always=always))
    step = Hypercall(nr, tuple(args), tuple(buffers), tuple(saves))
    return _modified(at, names, step)


def _buffer(at: Cursor, names: Names) -> st.Buffer:
    found = st.Buffer(_hex(at, names))
    patches = []
    while word := at.accept("patch", "guard", "fill", "align", "at"):
        match word.text:
            case "patch":
                offset = _u32(at, names)
                at.expect(":")
                size = _u32(at, names)
                at.expect("=")
                patches.append(st.Patch(offset, size, operand(at, names)))
            case "guard":
                found = replace(found, guard=_u32(at, names))
            case "fill":
                found = replace(found, fill=_u32(at, names))
            case "align":
                found = replace(found, align=_u32(at, names))
            case _:
                found = replace(found, at=_u32(at, names))
    return replace(found, patches=tuple(patches))


def _save(at: Cursor, names: Names) -> st.Save:
    token = at.now
    if token.kind not in ("slot", "name"):
        raise at.bad("a name or a slot expected")
    at.take()
    slot = names.slot_for(token)
    at.expect("=")
    if at.accept("result"):
        return st.Save(slot, always=at.accept("always") is not None)
    at.expect("buffer")
    index = _u32(at, names)
    at.expect(":")
    offset = _u32(at, names)
    at.expect(":")
    size = _u32(at, names)
    return st.Save(slot, index, offset, size, at.accept("always") is not None)
