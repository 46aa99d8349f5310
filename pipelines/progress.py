"""What a person sees while votes are cast, here and through ``diffsmooth status``."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ray.exceptions import RayError
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from infra import cluster
from infra.interrupt import Interrupted, interruptible
from infra.object_store import Store
from pipelines.attempts import Tell
from pipelines.heartbeat import BEAT_SECONDS, Heartbeat, State, write_heartbeat
from pipelines.recipe import Run
from pipelines.rounds_tally import RoundsTally
from pipelines.stall import Stall
from pipelines.tally import Tally
from pipelines.trace_tally import TraceTally
from pipelines.unit_tracker import News

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between looks at what is new."""

LINE_SECONDS = 60.0
"""Between log lines where there is no terminal."""


AnyTally = Tally | RoundsTally | TraceTally


@dataclass
class Watch:
    """Looks at the tracker now and then, and tells what it sees."""

    run_id: str
    store: Store
    run: Run
    num_images: int
    tally: AnyTally
    tell: Tell
    stall: Stall
    news: News = field(default_factory=lambda: News((), (), 0, {}))
    unread: tuple[str, ...] = ()
    """Vote files that are new and could not be read yet."""

    stalled: bool = False
    """Whether a node was lost and nothing has moved since."""

    def look(self) -> None:
        """Ask the tracker what is new, and read it; if that fails, with the next."""
        try:
            self.news = self.tell("news")
            self.stalled = self.stall.noticed(self.news)
            self.unread += self.news.names
            self.tally.take(self.unread)
        except (OSError, ValueError, RayError) as error:
            logger.warning("Progress cannot be read now: %s", error)
        else:
            self.unread = ()

    def beat(self, state: State, reason: str = "") -> None:
        """Write into OUT where the run stands.

        Args:
            state: of the driver.
            reason: why it stopped or failed.
        """
        try:
            write_heartbeat(self.store, self._heartbeat(state, reason))
        except (OSError, RayError) as error:  # a run goes on without being watched
            logger.warning("progress.json cannot be written now: %s", error)

    def _heartbeat(self, state: State, reason: str) -> Heartbeat:
        return Heartbeat(
            run=self.run_id,
            state=state,
            sigma=self.run.sigma,
            images=self.num_images,
            images_done=self.tally.num_images,
            votes=self.tally.num_votes,
            votes_wanted=self.tally.votes_wanted,
            at_most=self.tally.at_most,
            votes_per_second=self.tally.votes_per_second,
            retries=self.news.num_retries,
            set_aside=self.news.condemned,
            in_flight=tuple(one.told() for one in self.news.in_flight),
            nodes=cluster.nodes(),
            reason=reason,
        )


@contextmanager
def watched(watch: Watch) -> Iterator[Watch]:
    """Show and write down how votes grow while the body runs.

    Args:
        watch: what to look at.

    Yields:
        The watch; it has looked a last time when the body is done.
    """
    watch.beat("running")
    state: State = "failed"
    with interruptible() as interrupt:
        try:
            with _shown(watch, interrupt):
                yield watch
            state = "voted"
        except KeyboardInterrupt:
            state = "stopped"
            raise
        except Interrupted:
            state = "running"
            raise
        finally:
            watch.beat(state, str(sys.exc_info()[1] or ""))


@contextmanager
def _shown(watch: Watch, interrupt: Callable[[], None]) -> Iterator[None]:
    """Look from a thread of its own until the body ends."""
    stop = threading.Event()
    show = _bar if sys.stderr.isatty() else _lines
    looks = _looks(watch, stop, interrupt)
    watcher = threading.Thread(target=show, args=(watch, looks), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _looks(
    watch: Watch, stop: threading.Event, interrupt: Callable[[], None]
) -> Iterator[float]:
    """Yield the time after each look but the last one, which follows the stop."""
    last_beat = time.monotonic()
    while not stop.wait(LOOK_SECONDS):
        watch.look()
        if time.monotonic() - last_beat >= BEAT_SECONDS:
            watch.beat("running")
            last_beat = time.monotonic()
        yield time.monotonic()
        if watch.stalled:
            interrupt()
            stop.wait()
    watch.look()


def _bar(watch: Watch, looks: Iterator[float]) -> None:
    columns = (
        TextColumn("sigma {task.fields[sigma]:g}"),
        BarColumn(),
        TextColumn("{task.fields[images]} images  {task.completed:,.0f} votes"),
        TextColumn("{task.fields[rate]:,.0f} votes/s"),
        TextColumn("{task.fields[certified]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=watch.tally.votes_wanted, **_fields(watch))
        for _ in looks:
            bar.update(task, completed=watch.tally.num_votes, **_fields(watch))
        bar.update(task, completed=watch.tally.num_votes, **_fields(watch))


def _fields(watch: Watch) -> dict[str, Any]:
    return {
        "sigma": watch.run.sigma,
        "images": f"{watch.tally.num_images}/{watch.num_images}",
        "rate": watch.tally.votes_per_second,
        "certified": _certified(watch.tally),
    }


def _certified(tally: AnyTally) -> str:
    """Return the certified accuracy so far as words, if it is known."""
    share = tally.certified_percent
    return "" if share is None else f"certified {share:.1f} %"


def _lines(watch: Watch, looks: Iterator[float]) -> None:
    last = time.monotonic()
    for now in looks:
        if now - last >= LINE_SECONDS:
            last = now
            _log(watch)
    _log(watch)


def _log(watch: Watch) -> None:
    tally, rate = watch.tally, watch.tally.votes_per_second
    left = (tally.votes_wanted - tally.num_votes) / rate if rate else float("inf")
    logger.info(
        "sigma %g: %d/%d images, %d/%d votes%s, %.0f votes/s, %.0f s left. %s",
        watch.run.sigma,
        tally.num_images,
        watch.num_images,
        tally.num_votes,
        tally.votes_wanted,
        " at most" if tally.at_most else "",
        rate,
        left,
        _certified(tally),
        extra={"run": watch.run_id},
    )
