"""Why a vCPU left its guest, in a few words that are the same for all processors and tracers."""

from __future__ import annotations

from pvhspec.traces.event import Event

__all__ = ["exit_kind"]

#: By the numbers of the processors' manuals.
_SVM = {
    0x60: "interrupt", 0x61: "interrupt", 0x62: "interrupt", 0x64: "interrupt window",
    0x6E: "clock read", 0x87: "clock read", 0x72: "cpuid", 0x77: "pause", 0x78: "halt",
    0x79: "tlb flush", 0x7A: "tlb flush", 0x7B: "io", 0x7C: "msr", 0x7F: "shutdown",
    0x81: "hypercall", 0x89: "cache flush", 0x8A: "halt", 0x8B: "halt", 0x8C: "halt",
    0x8D: "cr", 0x65: "cr", 0x400: "second-stage fault", 0x401: "apic", 0x402: "apic",
}  # fmt: skip
_VMX = {
    0: "exception", 1: "interrupt", 2: "shutdown", 3: "interrupt", 4: "interrupt",
    7: "interrupt window", 8: "interrupt window", 9: "task switch", 10: "cpuid", 12: "halt",
    13: "cache flush", 14: "tlb flush", 16: "clock read", 18: "hypercall", 28: "cr", 29: "debug",
    30: "io", 31: "msr", 32: "msr", 36: "halt", 39: "halt", 40: "pause", 43: "apic", 44: "apic",
    45: "apic", 46: "descriptor table", 47: "descriptor table", 48: "second-stage fault",
    49: "second-stage fault", 51: "clock read", 52: "preemption timer", 54: "cache flush",
    55: "cr", 56: "apic", 58: "tlb flush",
}  # fmt: skip
#: By how the names begin that tracers give them, in lower case; the longest that fits counts.
_WORDS = {
    "hypercall": ("hypercall", "vmmcall", "vmcall"),
    "second-stage fault": ("npf", "ept_"),
    "cpuid": ("cpuid",),
    "msr": ("msr", "read_msr", "write_msr"),
    "io": ("io",),
    "cr": ("cr", "read_cr", "write_cr", "xsetbv"),
    "debug": ("read_dr", "write_dr", "dr_"),
    "halt": ("hlt", "mwait", "monitor"),
    "pause": ("pause",),
    "interrupt": ("interrupt", "external_interrupt", "nmi", "intr"),
    "interrupt window": ("vintr", "interrupt_window", "pending_interrupt", "nmi_window"),
    "exception": ("exception", "de excp", "db excp", "ud excp", "nm excp", "pf excp", "gp excp"),
    "clock read": ("rdtsc",),
    "tlb flush": ("invlpg", "invpcid"),
    "apic": ("apic", "avic", "eoi", "tpr"),
    "cache flush": ("wbinvd", "invd"),
    "descriptor table": ("gdtr", "ldtr"),
    "preemption timer": ("preemption_timer",),
    "shutdown": ("triple_fault", "shutdown"),
}
_NAMES = {word: kind for kind, words in _WORDS.items() for word in words}


def exit_kind(event: Event) -> str:
    """What a `vmexit` was for; `other` where nobody says, or it is rare."""
    code = event.get("code")
    if code is not None:
        if event.get("arch") == "vmx":
            return _VMX.get(code, "other")
        if code < 0x20:
            return "cr"
        if code < 0x40:
            return "debug"
        return "exception" if code < 0x60 else _SVM.get(code, "other")
    name = str(event.get("reason") or "").lower()
    fits = [each for each in _NAMES if name.startswith(each)]
    return _NAMES[max(fits, key=len)] if fits else "other"
