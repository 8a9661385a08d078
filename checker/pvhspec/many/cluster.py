"""Traces judged on a cluster that is there already, through dask.distributed.

A trace goes there whole and compressed, as part of a piece of work that the scheduler keeps until
its answer is there: a worker that dies takes nothing with it, the scheduler gives its work to
another. Pieces that cost workers their lives, as often as the scheduler allows (three times unless
it was told otherwise), are tried once more when all else is through, alone. At most a few pieces
per worker are under way, so that the scheduler's memory does not grow with the number of traces.

Nothing is waited for without a limit: not the scheduler, not its first worker, not a cluster that
has fallen silent. How long one trace may take is not limited, as long as its worker is alive.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import warnings
from argparse import Namespace
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, BinaryIO

from pvhspec.diagnostics import Diagnostic, PvhError, code
from pvhspec.many import Result, entry, killed
from pvhspec.many.jobs import Work
from pvhspec.many.pace import Waiting
from pvhspec.many.remote import Other, Task, packed_work, this_kind

if TYPE_CHECKING:
    from distributed import Client, Future

    from pvhspec.ir.ir import Spec

__all__ = ["judged_there"]

NO_DISTRIBUTED = code("PVH533", "A cluster is asked for, and dask.distributed is not installed.")
NO_CLUSTER = code("PVH534", "The scheduler of a cluster cannot be reached, or has no workers.")
OTHER_KIND = code("PVH535", "A worker of a cluster has another pvhspec, or none.")
CLUSTER_GONE = code("PVH536", "A cluster was lost while traces were judged on it.")
CLUSTER_FAILED = code("PVH537", "A cluster could not take a trace, or could not run its work.")

_LOOK = 0.5  # seconds between looks at whether the cluster is there
_EACH = 2  # pieces of work under way for each thread of the cluster
_MOST_SHIPPED = 256 << 20  # bytes, compressed; longer ones are judged here
_ZSTD_LEVEL = 1
_TAKEN_BACK = 3  # times a cluster may drop a piece of work
_ASKED_FOR = 5.0  # seconds for what every worker is


def judged_there(
    address: str,
    limit: float,
    paths: Sequence[str],
    spec: Spec,
    args: Namespace,
    here: Work,
    there: Callable[[str, BinaryIO, Spec, Namespace], Result],
    waiting: Waiting,
    order: Sequence[int],
) -> Generator[Result, None, None]:
    """What becomes of each trace, in the order of `paths`. `limit`: seconds to wait for whatever
    is to come from a cluster that does not answer; `there` is what judges on a worker, and `here`
    judges what cannot be sent."""
    _need_distributed()
    _hush()
    with _Cluster(address, limit) as cluster:
        packed = pickle.dumps(spec, pickle.HIGHEST_PROTOCOL)
        of_spec = (sha256(packed).digest(), packed)
        sent = Namespace(**{k: v for k, v in vars(args).items() if k != "run"})
        cluster.look_over(packed_work(None))

        def work(which: int) -> bytes:
            path = paths[which]
            return packed_work(Task(path, _content(path), of_spec, there, sent))

        yield from _Round(cluster, paths, here, waiting, order, work).results()


def _need_distributed() -> None:
    if find_spec("distributed") is None:
        from pvhspec.targets.errors import MissingTool

        what = f"{NO_DISTRIBUTED} --cluster needs dask.distributed"
        raise MissingTool(what, "pip install 'pvhspec[cluster]'")


def _hush() -> None:
    """What distributed logs is for those who run it; what matters here is told by us."""
    import distributed  # noqa: F401 (it makes its loggers, and gives each a level)

    for name in ("distributed", *logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


class _Unsent(Exception):
    """A trace that is not sent: it is read here."""


def _content(path: str) -> bytes:
    """A file as it travels. Whatever is wrong with it is found out by reading it here."""
    if path == "-":
        raise _Unsent
    try:
        with Path(path).open("rb") as stream:
            if stream.peek(2).startswith(b"\x1f\x8b"):
                data = stream.read(_MOST_SHIPPED + 1)
            else:
                import zstandard

                with zstandard.ZstdCompressor(level=_ZSTD_LEVEL).stream_reader(stream) as reader:
                    data = reader.read(_MOST_SHIPPED + 1)
    except OSError:
        raise _Unsent from None
    if len(data) > _MOST_SHIPPED:
        raise _Unsent
    return data


# ---- all the work ------------------------------------------------------------------------------


class _Round:
    """All traces once."""

    def __init__(
        self, cluster: _Cluster, paths: Sequence[str], here: Work, waiting: Waiting,
        order: Sequence[int], work: Callable[[int], bytes],
    ) -> None:  # fmt: skip
        self._cluster, self._paths, self._here, self._waiting = cluster, paths, here, waiting
        self._work = work
        self._todo, self._again = deque(order), deque[int]()
        self._under_way: dict[Future, int] = {}
        self._last: set[int] = set()
        self._taken_back = Counter[int]()
        self._found: dict[int, Result] = {}

    def results(self) -> Generator[Result, None, None]:
        """In order, as they come."""
        told = 0
        while told < len(self._paths):
            self._send()
            for future in self._cluster.ended(self._under_way):
                self._take(self._under_way.pop(future), future)
            if self._cluster.lost is not None:
                self._give_up(self._cluster.lost)
            self._waiting.show()
            while told in self._found:
                self._waiting.clear()
                yield self._found.pop(told)
                told += 1

    def _send(self) -> None:
        while self._todo and len(self._under_way) < self._cluster.room:
            if not self._begin(self._todo[0]):
                return
            self._todo.popleft()
        if self._again and not self._todo and not self._under_way:
            self._last.add(self._again[0])
            if self._begin(self._again[0]):
                self._again.popleft()

    def _begin(self, which: int) -> bool:
        """Send a piece of work, or judge here what is not sent. False: the cluster is not there."""
        try:
            work = self._work(which)
        except _Unsent:
            try:
                result: Result = self._here(self._paths[which], None)
            except Exception as error:
                result = error
            self._keep(which, result)
            return True
        future = self._cluster.submit(work)
        if future is None:
            return False
        self._under_way[future] = which
        return True

    def _keep(self, which: int, result: Result) -> None:
        self._found[which] = result
        self._waiting.through(which, getattr(result, "events", None))

    def _take(self, which: int, future: Future) -> None:
        """What became of a piece of work."""
        limit, error = self._cluster.limit, None
        try:
            if future.status == "finished":
                answer = _unpacked(future.result(timeout=limit))
                if isinstance(answer, Diagnostic):
                    raise PvhError(answer)
                self._keep(which, answer)
                return
            if future.status == "error":
                error = future.exception(timeout=limit)
        except PvhError:
            raise
        except TimeoutError:  # it was lost just now, and is done again
            self._under_way[future] = which
            return
        except (Exception, asyncio.CancelledError):  # of the way to the cluster, not of the work
            pass
        if error is None and self._taken_back[which] < _TAKEN_BACK:
            self._taken_back[which] += 1  # by the cluster, whatever the trace was
            self._todo.appendleft(which)
            return
        if which not in self._last:
            self._again.append(which)
            return
        path = self._paths[which]
        if type(error).__name__ == "KilledWorker":
            self._keep(which, PvhError(killed(path, "and workers of the cluster with it")))
            return
        what = f"the cluster could not do it: {_line(error or future.status)}"
        self._keep(which, PvhError(Diagnostic(CLUSTER_FAILED, what, path=path)))

    def _give_up(self, why: str) -> None:
        """Nothing more will come: what is not judged yet is told as that."""
        left = {*self._todo, *self._again, *self._under_way.values()}
        self._todo.clear()
        self._again.clear()
        self._under_way.clear()
        for which in left:
            remedy = "check it again, or without --cluster"
            lost = Diagnostic(CLUSTER_GONE, f"not judged: {why}", remedy, self._paths[which])
            self._keep(which, PvhError(lost))


def _unpacked(answer: bytes) -> Result:
    """What a worker answered; a diagnostic where it is not as we are."""
    remedy = f"all workers need what runs here: {this_kind()}"
    if not answer:
        what = "a worker of the cluster has no pvhspec that can judge traces"
        return Diagnostic(OTHER_KIND, what, remedy)
    result = pickle.loads(answer)
    if isinstance(result, Other):
        return Diagnostic(OTHER_KIND, f"the worker on {result.host} has {result.kind}", remedy)
    return result


def _line(error: object) -> str:
    return (str(error) or type(error).__name__).split("\n")[0][:200]


# ---- the cluster -------------------------------------------------------------------------------


class _Cluster:
    """The connection to a scheduler; as a context, it takes back what is not done and closes."""

    def __init__(self, address: str, limit: float) -> None:
        self._address, self.limit = address, limit
        self._client: Client
        self._threads: dict[str, int] = {}
        self._heard = monotonic()
        self.lost: str | None = None

    def __enter__(self) -> _Cluster:
        from cloudpickle import register_pickle_by_value
        from distributed import Client
        from distributed.comm import get_address_host_port

        register_pickle_by_value(entry)
        try:
            get_address_host_port(self._address)
            with warnings.catch_warnings():  # versions: those that matter are compared by us
                warnings.simplefilter("ignore")
                self._client = Client(self._address, timeout=self.limit, name="pvhspec")
        except (TimeoutError, OSError, ValueError, TypeError) as error:
            raise self._unreachable(_line(error)) from None
        until = monotonic() + self.limit
        while not self._workers():
            if monotonic() > until:
                self._close()
                raise self._unreachable(f"in {self.limit:g} seconds no worker came")
            sleep(min(_LOOK, self.limit))
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._client.close(timeout=min(self.limit, 10.0))

    def _unreachable(self, why: str) -> PvhError:
        what = f"--cluster {self._address}: {why}"
        remedy = "`dask scheduler` prints its address, as tcp://HOST:8786; `dask worker` joins it"
        return PvhError(Diagnostic(NO_CLUSTER, what, remedy))

    @property
    def room(self) -> int:
        """How many pieces of work may be under way."""
        return _EACH * max(1, sum(self._threads.values()))

    def submit(self, work: bytes) -> Future | None:
        """Have something done; None where there is nobody to tell."""
        try:
            return self._client.submit(entry.entry, work, pure=False)
        except Exception:  # `ended` finds out whether it comes back
            return None

    def look_over(self, work: bytes) -> None:
        """Ask every worker whether it can do the work; one that has other things to do is asked
        no longer than a moment. Raises PvhError if one cannot."""
        asked = [
            self._client.submit(entry.entry, work, pure=False, workers=[worker])
            for worker in self._threads
        ]
        self._wait(asked, min(self.limit, _ASKED_FOR), all_of_them=True)
        for future in asked:
            if future.status == "finished":
                told = _unpacked(future.result(timeout=self.limit))
                if isinstance(told, Diagnostic):
                    raise PvhError(told)

    def ended(self, futures: dict[Future, int]) -> list[Future]:
        """Those that came to an end; waits a moment for one. Sets `lost` where nothing will."""
        self._wait(list(futures), _LOOK, all_of_them=False)
        if self._workers():
            self._heard = monotonic()
        elif monotonic() - self._heard > self.limit:
            self.lost = f"nothing was heard of the cluster for {self.limit:g} seconds"
        return [future for future in futures if future.status != "pending"]

    @staticmethod
    def _wait(futures: list[Future], seconds: float, all_of_them: bool) -> None:
        from distributed import wait

        if not futures:
            sleep(seconds)
            return
        which = "ALL_COMPLETED" if all_of_them else "FIRST_COMPLETED"
        with suppress(Exception, asyncio.CancelledError):  # what it is shows by each of them
            wait(futures, timeout=seconds, return_when=which)

    def _workers(self) -> bool:
        """Whether the scheduler answers, and has workers."""
        if self._client.status != "running":
            return False
        try:
            asked = self._client.scheduler.ncores  # what `nthreads` asks, with a limit
            self._threads = self._client.sync(asked, callback_timeout=self.limit)
        except Exception:  # whatever it is: nothing was heard
            return False
        return bool(self._threads)
