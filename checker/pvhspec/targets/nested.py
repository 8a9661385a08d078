"""A machine with nested virtualisation: Debian's Linux 6.12 under QEMU's TCG, whose KVM has the Xen
ABI, and the VMM as its only program.

The kernel comes from Debian by the name of its package, once, and is kept; it and its modules are
all that is used of the package. The rest of the machine is an initramfs of our own.
"""

from __future__ import annotations

import lzma
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pvhspec.targets import debian, qemu
from pvhspec.targets.probe import cache_dir
from pvhspec.targets.qemu import Ended

__all__ = ["linux_with_kvm", "run_nested"]

_RELEASE = "trixie"  # the first Debian whose kernel has CONFIG_KVM_XEN
_PACKAGE = "linux-image-cloud-amd64"  # a third of what the kernel for all machines is
#: Loaded in this order.
_MODULES = ("virt/lib/irqbypass", "arch/x86/kvm/kvm", "arch/x86/kvm/kvm-amd")
_CPU = "max,+svm"
_MEMORY_MIB = 512
#: What costs time under TCG and is of no use here is left out.
_CMDLINE = (
    "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check "
    "cryptomgr.notests rdinit=/init"
)
_FILE, _FOLDER, _PROGRAM = 0o100644, 0o040755, 0o100755


def linux_with_kvm() -> Path:
    """A folder with `vmlinuz` and the modules of KVM, fetched at first (some 35 MB) and kept.

    Raises MissingTool where it cannot be fetched.
    """
    kept = cache_dir() / f"kvm-{_RELEASE}"
    if not kept.exists():
        members = ["boot/vmlinuz-*"]
        members += [f"usr/lib/modules/*/kernel/{module}.ko.xz" for module in _MODULES]
        found = debian.fetch_all(_RELEASE, _PACKAGE, members, by_name_only=True)
        names = ["vmlinuz", *(f"{Path(module).name}.ko" for module in _MODULES)]
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix="kvm-") as folder:
            made = Path(folder) / "made"
            made.mkdir()
            for name, data in zip(names, found, strict=True):
                whole = lzma.decompress(data) if name.endswith(".ko") else data
                (made / name).write_bytes(whole)
            if not kept.exists():  # nobody was faster
                os.replace(made, kept)
    return kept


def run_nested(folder: Path, vmm: Path, files: Iterable[Path], timeout: float) -> Ended:
    """Run the VMM with `files`, which it finds in its folder, `machine` among them.

    What its guest writes is then in `guest.out`, what it tells of it in `state`, and Linux's
    console in `linux.log`. Raises TargetError.
    """
    linux = linux_with_kvm()
    modules = [linux / f"{Path(module).name}.ko" for module in _MODULES]
    contents = [("init", _PROGRAM, vmm.read_bytes())]
    contents += [(path.name, _FILE, path.read_bytes()) for path in (*modules, *files)]
    (folder / "initramfs").write_bytes(_cpio(contents))
    for name in ("guest.out", "state", "linux.log"):
        (folder / name).write_bytes(b"")
    command = [
        qemu.find(), "-accel", "tcg", "-M", "q35", "-cpu", _CPU, "-m", str(_MEMORY_MIB),
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-serial", "file:linux.log",
        "-chardev", "file,id=out,path=guest.out",
        "-device", "isa-debugcon,iobase=0x404,chardev=out",
        "-chardev", "file,id=state,path=state",
        "-device", "isa-debugcon,iobase=0x403,chardev=state",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
        "-kernel", str(linux / "vmlinuz"), "-initrd", "initramfs", "-append", _CMDLINE,
    ]  # fmt: skip
    with qemu.running(command, folder) as process:
        return qemu.wait(process, timeout)


def _cpio(contents: Iterable[tuple[str, int, bytes]]) -> bytes:
    """An archive for the kernel to unpack: name, mode, bytes (the format newc of cpio)."""
    made = bytearray()
    for number, (name, mode, data) in enumerate([*contents, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = "070701" + "".join(f"{field:08x}" for field in fields)
        for part in (head.encode() + name.encode() + b"\0", data):
            made += part
            made += bytes(-len(made) % 4)
    return bytes(made)
