"""How a stage begins its calls, so that an image that kills its worker is found."""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from infra.logs import set_up_worker_logging
from infra.meters import Meters
from pipelines.unit_tracker import LOST_IN_A_ROW, UnitTracker, Verdict

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_HERE = "here"
"""Stands for the node where there is no Ray."""

Tell = Callable[..., Any]
"""Calls a method of the tracker by its name, and returns what it answers."""


@dataclass(frozen=True)
class Attempts:
    """A stage's side of the :class:`UnitTracker`."""

    tell: Tell
    """Reaches the tracker."""

    meters: Meters
    """Of the stage."""

    @property
    def stage(self) -> str:
        """Name of the stage."""
        return self.meters.stage

    def survived(
        self,
        call: str,
        images: Sequence[str],
        work: Callable[[Sequence[str]], Result],
        set_aside: Callable[[Mapping[str, str]], None],
    ) -> Iterator[Result]:
        """Yield what a call makes of its images, without those that kill its worker.

        If a worker died of this call before, its images are tried one by one; one that
        has killed its worker too often is set aside.

        Args:
            call: names the call, the same when Ray repeats it.
            images: keys of those it works on.
            work: makes something of some of them.
            set_aside: is given those that are not tried again, with the reason.

        Yields:
            What ``work`` returns: once, or for every image.
        """
        verdict = self._begin(call, images)
        if verdict.condemned:
            set_aside(verdict.condemned)
        rest = [key for key in images if key not in verdict.condemned]
        if verdict.alone:
            for key in rest:
                yield from self.survived(f"{call}/{key}", [key], work, set_aside)
        elif rest:
            self.meters.count("images", len(rest))
            with self._watched(call, rest):
                result = work(rest)
            yield result

    def committed(self, name: str, *, blocks: int, votes: int) -> None:
        """Tell that a file of votes is in the ledger.

        Args:
            name: of the file.
            blocks: in it.
            votes: in it, for a class or for none.
        """
        _set_up_logging(self.meters.run, _node())
        self.tell("committed", name, blocks)
        self.meters.count("votes", votes)
        logger.info("committed", extra={"stage": self.stage, "file": name})

    def _begin(self, call: str, images: Sequence[str]) -> Verdict:
        node, pid = _node(), os.getpid()
        _set_up_logging(self.meters.run, node)
        verdict = self.tell("begin", call, self.stage, list(images), node, pid)
        self.meters.count("retries", verdict.again)
        if verdict.hopeless:
            raise ValueError(
                f"certify needs images that its workers survive; in stage {self.stage} "
                f"{LOST_IN_A_ROW} in a row did not, the last being {verdict.hopeless}. "
                f"Try `diffsmooth doctor` there, or a smaller batch; these images stay "
                f"failed until their vote files are deleted."
            )
        return verdict

    @contextmanager
    def _watched(self, call: str, images: Sequence[str]) -> Iterator[None]:
        """End the process if the device or its library fails; Ray then tries again."""
        fields = {"stage": self.stage, "unit": call, "images": len(images)}
        logger.info("begun", extra=fields | {"first": images[0]})
        began = time.perf_counter()
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            # After most errors of an accelerator its process is of no more use.
            logger.exception("failed; the worker ends", extra=fields)
            self.tell("failed", call, type(error).__name__)
            os._exit(1)
        seconds = time.perf_counter() - began
        self.meters.observe_seconds(seconds)
        logger.info("ended", extra=fields | {"seconds": round(seconds, 3)})
        self.tell("end", call)


def call_name(rows: Sequence[Sequence[object]]) -> str:
    """Return a short text that follows from the blocks of a call.

    Args:
        rows: image key, stream and block of each.
    """
    label = repr([tuple(map(str, row)) for row in rows]).encode()
    return hashlib.blake2b(label, digest_size=8).hexdigest()


@dataclass(frozen=True)
class ToActor:
    """Reaches a tracker that is a Ray actor."""

    handle: Any

    def __call__(self, method: str, *words: Any) -> Any:
        """Call a method and wait for the answer."""
        import ray

        return ray.get(getattr(self.handle, method).remote(*words))


@dataclass(frozen=True)
class ToObject:
    """Reaches a tracker in this process."""

    tracker: UnitTracker

    def __call__(self, method: str, *words: Any) -> Any:
        """Call a method."""
        return getattr(self.tracker, method)(*words)


@lru_cache(maxsize=1)
def _set_up_logging(run: str, node: str) -> None:
    """Make this worker tell its progress; a process that is none keeps its own way."""
    if node != _HERE:
        set_up_worker_logging(run, node)


def _node() -> str:
    import ray

    if not ray.is_initialized():
        return _HERE
    return ray.get_runtime_context().get_node_id()
