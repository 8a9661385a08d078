"""Scenes: what does not come about by chance, or has to be looked for all over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import chain

from pvhspec.backends.machine.model import Ask
from pvhspec.conform.grants import Grants
from pvhspec.conform.render import FRAMES
from pvhspec.conform.seeds import Seeds
from pvhspec.conform.writer import SELF, Writer
from pvhspec.ir.ir import Op, Operation, Quant
from pvhspec.targets import steps as st
from pvhspec.types.types import BitsType

__all__ = ["Scenes", "clauses_of"]

_TRIES, _FEW = 30, 8  # calls drawn for a clause that nothing has shown yet, in early boots and late
_EARLY = 2  # boots
_SHARES = 4  # boots that share examples out: until then none knows what the others have shown
_OPEN_MOST = 6  # ports that may be in use where an example begins
_FIFO_PAGES = 8  # of those whose frame numbers are handed over, as many as queues are given
_LETS_OTHERS_IN = frozenset({"EVTCHNOP_bind_virq", "EVTCHNOP_bind_pirq"})
_LOOKED_AT = 24  # ports whose status is asked for at once, at most


def _page(number: int) -> st.Area:
    """A page of the area that is handed over by its frame number."""
    return st.Area(FRAMES + (number << 12))


def _gives_port(op: Operation) -> bool:
    return any(c.var.type.name == "Port" for c in op.choices if isinstance(c.var.type, BitsType))


def clauses_of(op: Operation) -> Iterator[str]:
    """The clauses that a call of an operation can be foretold to show."""
    yield op.success
    yield from (e.clause for e in op.errors if e.when is not None)
    yield from (u.clause for u in (*op.updates, *op.always))


class Scenes:
    """Steps in a row that make one thing happen."""

    def __init__(self, writer: Writer, grants: Grants) -> None:
        self.writer, self.random, self.model = writer, writer.random, writer.model
        self.seeds = Seeds(writer, grants)
        self._in_vain: Counter[str] = Counter()
        self._about: dict[str, list[Operation]] = {}
        for op in writer.operations:
            for clause in filter(writer.offers, dict.fromkeys(clauses_of(op))):
                self._about.setdefault(clause, []).append(op)
        self.takers = [o for o in writer.operations if _gives_port(o)]

    def aim(self, only: tuple[Operation, ...] = ()) -> None:
        """A try at each clause that nothing has shown yet; by these operations only, if given."""
        writer = self.writer
        for clause, operations in self._about.items():
            in_vain = self._in_vain[clause]
            if writer.counts[clause] or (in_vain and self.random.random() * in_vain > 1):
                continue
            op = self.random.choice(operations)
            if only and op not in only:
                continue
            self._in_vain[clause] += 2
            sweeping = any(u.binders for u in op.updates)
            tries = _TRIES if writer.plan.number < _EARLY else _FEW
            drawn = (writer.varied(op) for _ in range(tries // 5 if sweeping else tries))
            shown = self.seeds.calls(clause) if in_vain < 2 else ()
            for ask in chain(shown, drawn):
                op = ask.op
                told = self.model.foretell(ask, clause)
                if told is not None and clause in told.clauses and (op.modelled or told.code):
                    writer.drawer.take(told)
                    writer.emit(ask, told)
                    writer.touched(told)
                    break

    def rehearse(self) -> None:
        """The examples of clauses that nothing has shown yet; early boots share them out."""
        writer, number = self.writer, self.writer.plan.number
        for at, clause in enumerate(self.seeds.clauses()):
            mine = number >= _SHARES or at % _SHARES == number
            if not mine or writer.counts[clause] or not writer.offers(clause):
                continue
            if writer.plan.only and not any(fnmatchcase(clause, p) for p in writer.plan.only):
                continue
            if len(self.writer.open_ports()) > _OPEN_MOST:
                self.clear()
            self.seeds.play(clause)
        self.clear()

    def audit(self) -> None:
        """What Xen says of every port in use, and of some that are not; and all shared words."""
        open_ = self.writer.open_ports()
        if len(open_) > _LOOKED_AT:
            open_ = sorted(self.random.sample(open_, _LOOKED_AT))
        top = self.model.cell("valid_ports", 0)
        beside = {self.random.randrange(1, 12), top - 1, top}
        for port in sorted({*open_, *beside}):
            self.writer.status(port)
        self.writer.snapshot()

    def clear(self) -> None:
        """Close all ports, and clear the words."""
        writer = self.writer
        reset = writer.named("EVTCHNOP_reset")
        if reset is not None:
            writer.ask(Ask(reset, {"dom": SELF}))
        writer.forget("Port")
        held = writer.drawer.pools.bundles
        for name in ("evtchn_pending", "evtchn_mask"):
            ports = sorted({i[1] for i in held.holding(name, True) if i[0] == 0})
            for word in dict.fromkeys(p // writer.layout for p in ports):
                writer.store("evtchn_mask" if name == "evtchn_mask" else "evtchn_pending",
                             word, "set", 0)  # fmt: skip
        for vcpu in range(writer.plan.vcpus):
            writer.store("evtchn_pending_sel", vcpu, "set", 0)
            writer.store("evtchn_upcall_pending", vcpu, "set", 0)
        self.audit()

    # ---- as many as there can be -------------------------------------------------------------

    def brink(self, op: Operation) -> bool:
        """An operation that needs a port when all that Xen keeps a record of are taken; whether it
        came to that."""
        top = self.model.cell("valid_ports", 0)
        filler = self.good(self.random.choice(self.takers))
        for _ in range(top + 8):
            ask = self.good(op)
            told = self.model.foretell(ask)
            if told is None or told.code:
                return False
            port = told.out.get(op.choices[0].var.name)
            if port is not None and port >= top:
                self.writer.ask(ask)
                self.writer.touched(told)
                return True
            came = self.model.foretell(filler)
            if came is None or came.code:
                filler = self.good(self.random.choice(self.takers))
            if self.writer.ask(filler) is None:
                return False
        return False

    def flood(self) -> None:
        """Ports are taken, in every way there is, until there are no more."""
        takers = self.random.sample(self.takers, len(self.takers))
        for op in takers:
            self.brink(op)
        limit = 1100 if not self.model.cell("shared_info_64", 0) else 200
        for op in takers:
            limit -= self.repeat(op, limit)
        for op in takers * 2:
            ask = self.writer.drawer.call(op)
            self.writer.ask(ask)
        self.aim(tuple(takers))
        for _ in range(20):
            self.writer.call(2, takers)
        self.audit()

    def pile(self) -> None:
        """What can only be counted up is counted up until no more is taken."""
        writer = self.writer
        fifo = writer.named("EVTCHNOP_init_control")
        if fifo is not None:
            writer.ask(Ask(fifo, {"vcpu": 0, "offset": 0, "control_gfn": 0}))
        for op in writer.operations:
            counting = any(
                isinstance(u.value, Op)
                and u.value.op == "add"
                and not any(isinstance(a, Quant) for a in u.value.args)
                for u in op.updates
                if not u.target.startswith("out.")
            )
            if counting:
                self.repeat(op, 140)

    def repeat(self, op: Operation, most: int) -> int:
        """A call that succeeds, until it does not any more; how often it was made."""
        ask = self.good(op)
        for count in range(most):
            told = self.writer.ask(ask)
            if told is None:
                return count
            if told.code:
                return count + 1
        return most

    def good(self, op: Operation) -> Ask:
        """Arguments with which an operation succeeds, if some are found."""
        ask = self.writer.drawer.call(op)
        for _ in range(60):
            told = self.model.foretell(ask)
            if told is not None and not told.code:
                break
            ask = self.writer.drawer.call(op)
        return ask

    # ---- FIFO ----------------------------------------------------------------------------------

    def fifo(self, calls: int, among: list[Operation]) -> None:
        """Some calls with queues in place of words, and back to the words."""
        writer = self.writer
        begin = writer.named("EVTCHNOP_init_control")
        if begin is None:
            return
        if self.random.random() < 0.7:
            among = [o for o in among if o.name not in _LETS_OTHERS_IN]
        pages = self.random.sample(range(_FIFO_PAGES), 2)
        ask = Ask(begin, {"control_gfn": pages[0], "offset": 0, "vcpu": 0})
        if self.random.random() < 0.7:
            self._shown(ask, st.UseFifo("block", 0, _page(pages[0])), pages[0])
            more = writer.named("EVTCHNOP_expand_array")
            if more is not None:
                page = st.UseFifo("page", 0, _page(pages[1]))
                self._shown(Ask(more, {"array_gfn": pages[1]}), page, pages[1])
        else:
            writer.ask(self.good(begin))
        end = writer.calls + calls
        while writer.calls < end:
            told = writer.call(2, among)
            if self.random.random() < 0.3:
                self._handle()
            if self.random.random() < 0.2:
                writer.steps.append(st.Fifo(writer.plan.vcpus))
            if self.random.random() < 0.1:
                writer.touched(told)
        self.aim()
        writer.steps.append(st.Fifo(writer.plan.vcpus))
        self.audit()
        self.clear()

    def _shown(self, ask: Ask, place: st.UseFifo, page: int) -> None:
        """A page of zeroes is handed over, and looked at."""
        writer = self.writer
        writer.steps.append(st.Write(_page(page), bytes(4096)))
        if place.what == "page":
            for port in self._words():
                clear = {"what": "fifo_word", "index": port, "value": 0, "width": 32}
                writer.happen("store", clear)
        else:
            writer.happen("store", {"what": "fifo_ready", "index": 0, "value": 0, "width": 32})
        writer.ask(ask)
        writer.steps += [place, st.Fifo(1)]
        ready = sum(bool(self.model.cell("ready", 0, 0, q)) << q for q in range(16))
        heads = {q: self.model.cell("head", 0, 0, q) for q in range(16)}
        ports = 1024 * min(1, self.model.cell("array_pages", 0))
        blocks = {0: {"ready": ready, "heads": heads}}
        writer.happen("fifo_words", {"ports": ports, "words": self._words(), "blocks": blocks})

    def _words(self) -> dict[int, int]:
        """The event words that are not 0, as the model has them."""
        found: dict[int, int] = {}
        for port in range(self.model.cell("valid_ports", 0)):
            word = self.model.cell("word_link", 0, port)
            for bit, state in ((31, "word_pending"), (30, "word_masked"), (29, "linked")):
                word |= bool(self.model.cell(state, 0, port)) << bit
            if word:
                found[port] = word
        return found

    def _handle(self) -> None:
        """The guest changes an event word, or has looked at all queues."""
        writer = self.writer
        kinds: tuple[st.StoreWhat, ...] = ("fifo_word", "fifo_ready", "fifo_head")
        what = self.random.choices(kinds, (6, 3, 1))[0]
        index = value = 0
        if what == "fifo_head":
            index = self.random.randrange(16)
        if what == "fifo_word":
            port = writer.drawer.pools.bundles.of_kind("Port", self.random)
            index = port if port is not None and port < 64 else self.random.randrange(12)
            value = self.random.choice((0, 0, 1 << 30, 1 << 31, 3 << 30))
        writer.steps.append(st.Store(what, index, "set", value))
        writer.happen("store", {"what": what, "index": index, "value": value, "width": 32})
