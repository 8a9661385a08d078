"""What a guest does with its grant table besides calling: it puts it into its memory, writes
entries, and reads what Xen made of them."""

from __future__ import annotations

from pvhspec.backends.machine.model import Ask
from pvhspec.conform.render import area_frame
from pvhspec.conform.writer import SELF, Writer
from pvhspec.programs import grants
from pvhspec.programs.shared import Words
from pvhspec.targets.steps import SPARE_FRAMES, Area, Operand

__all__ = ["Grants"]

_TABLE, _STATUS = 1, 2  # pages of the area
_STATUS_WORDS = 1 << 31  # the index by which the first page of them is asked for
#: Pages of the area that entries are about first. What a guest maps of its own moves there, so that
#: each is good for one mapping.
_PAGES = range(0x28, 0x38)
_REFS = (*range(8, 14), *range(8, 20), 0, 7, 255)
_FLAGS = (1, 1, 1, 1, 5, 5, 0, 2, 3, 0x101, 0x105, 0x18)
_DOMAINS = (0, 0, 0, 0, 0, 1, SELF)
_PARTS = (0, 0, 0x00100010, 0x08000800, 8)  # in version 2: how much is granted, and from where


class Grants:
    """Entries of the guest's own grant table, at a writer's random."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.random, self.model = writer, writer.random, writer.model
        self.words = Words(writer.plan.width)
        self.next_page = 0

    @property
    def version(self) -> int:
        """The form of the entries now."""
        return 2 if self.model.cell("grant_version", 0) == 2 else 1

    def ready(self) -> bool:
        """Have the table where the program can see it, whatever calls have done to it."""
        place = self.writer.place
        if self.model.cell("grant_table_at", 0, 0) != area_frame(_TABLE):
            place(1, 0, _TABLE)
        if self.version == 2 and "grant_version" in self.writer.disturbed:
            place(1, _STATUS_WORDS, _STATUS)  # with the version before, Xen took it away
            self.writer.disturbed.discard("grant_version")
        size = self.writer.named("GNTTABOP_query_size")
        if size is not None and "grant_frames" in self.writer.disturbed:  # it may have grown
            self.writer.ask(Ask(size, {"dom": SELF}))
            self.writer.disturbed.discard("grant_frames")
        self.words.grants, self.words.grant_version = _TABLE << 12, self.version
        self.words.grant_status = _STATUS << 12 if self.version == 2 else None
        return bool(self.model.cell("grant_table_at", 0, 0) == area_frame(_TABLE))

    def some(self) -> None:
        """Write an entry, or look at one."""
        ref = self.random.choice(_REFS)
        if self.random.random() < 0.4:
            self.look(ref)
            return
        low = self.random.choice(_PARTS) if self.version == 2 else 0
        self.write(ref, self.random.choice(_FLAGS), self.random.choice(_DOMAINS), low)

    def write(self, ref: int, flags: int, domain: int, low: int = 0) -> None:
        """The guest writes an entry about a page of its own, unless somebody has that of the last.
        In version 2 `low` is what part of it."""
        if self.model.cell("told_reading", 0, ref) or not self.ready():
            return
        writer = self.writer
        frame: int = self.random.choice(SPARE_FRAMES)
        at: Operand = frame
        if self.next_page < len(_PAGES):
            page = _PAGES[self.next_page]
            frame, at = area_frame(page), Area(page << 12, 12)
            self.next_page += flags & 3 == 1
        writer.steps += grants.store(self.words, ref, domain, flags, at, low)
        high = frame if self.version == 2 else 0
        low = low if self.version == 2 else frame
        self._happen(ref, True, flags, domain, low, high)
        writer.drawer.pools.bundles.note("entry_flags", (0, ref), flags)

    def release(self) -> None:
        """Let go of everything that is mapped."""
        op = self.writer.named("GNTTABOP_unmap_grant_ref")
        if op is not None:
            for handle, (at, _) in list(self.model.held.items()):
                self.writer.ask(Ask(op, {"handle": handle, "host_addr": at}))
        self.model.held.clear()

    def look(self, ref: int) -> None:
        """The guest reads an entry."""
        if not self.ready():
            return
        self.writer.steps += grants.read(self.words, ref)
        cell = self.model.cell
        held = [cell(f"entry_{name}", 0, ref) for name in ("flags", "domid", "low", "high")]
        self._happen(ref, False, *held)
        if self.version == 2:
            status = {"ref": ref, "status": cell("entry_status", 0, ref)}
            self.writer.happen("grant_status", status)

    def _happen(
        self, ref: int, stored: bool, flags: int, domid: int, low: int, high: int
    ) -> None:  # fmt: skip
        fields = {"ref": ref, "stored": stored, "flags": flags, "domid": domid, "low": low}
        self.writer.happen("grant_entry", {**fields, "high": high})
