"""What a person sees while votes are cast, here and through ``diffsmooth status``."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

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
from infra.object_store import Store
from pipelines.attempts import Tell
from pipelines.heartbeat import BEAT_SECONDS, Heartbeat, State, write_heartbeat
from pipelines.recipe import Run
from pipelines.tally import Tally
from pipelines.unit_tracker import News

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between looks at what is new."""

LINE_SECONDS = 60.0
"""Between log lines where there is no terminal."""


@dataclass
class Watch:
    """Looks at the tracker now and then, and tells what it sees."""

    run_id: str
    store: Store
    run: Run
    num_images: int
    votes_wanted: int
    tally: Tally
    tell: Tell
    news: News = field(default_factory=lambda: News((), (), 0, {}))
    unread: tuple[str, ...] = ()
    """Vote files that are new and could not be read yet."""

    def look(self) -> None:
        """Ask the tracker what is new, and read it; if that fails, with the next."""
        try:
            self.news = self.tell("news")
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
            votes_wanted=self.votes_wanted,
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
    stop = threading.Event()
    show = _bar if sys.stderr.isatty() else _lines
    watcher = threading.Thread(target=show, args=(watch, stop), daemon=True)
    watch.beat("running")
    watcher.start()
    state: State = "failed"
    try:
        yield watch
        state = "voted"
    except KeyboardInterrupt:
        state = "stopped"
        raise
    finally:
        error = sys.exc_info()[1]
        stop.set()
        watcher.join()
        watch.beat(state, str(error or ""))


def _looks(watch: Watch, stop: threading.Event) -> Iterator[float]:
    """Yield the time after each look; the last one follows the stop."""
    last_beat = time.monotonic()
    while not stop.wait(LOOK_SECONDS):
        watch.look()
        if time.monotonic() - last_beat >= BEAT_SECONDS:
            watch.beat("running")
            last_beat = time.monotonic()
        yield time.monotonic()
    watch.look()
    yield time.monotonic()


def _bar(watch: Watch, stop: threading.Event) -> None:
    columns = (
        TextColumn("sigma {task.fields[sigma]:g}"),
        BarColumn(),
        TextColumn("{task.fields[images]} images  {task.completed:,.0f} votes"),
        TextColumn("{task.fields[rate]:,.0f} votes/s"),
        TextColumn("certified {task.fields[certified]:.1f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(
            "",
            total=watch.votes_wanted,
            sigma=watch.run.sigma,
            images="",
            rate=0.0,
            certified=0.0,
        )
        for _ in _looks(watch, stop):
            bar.update(
                task,
                completed=watch.tally.num_votes,
                images=f"{watch.tally.num_images}/{watch.num_images}",
                rate=watch.tally.votes_per_second,
                certified=watch.tally.certified_percent,
            )


def _lines(watch: Watch, stop: threading.Event) -> None:
    last = time.monotonic()
    for now in _looks(watch, stop):
        if now - last >= LINE_SECONDS and not stop.is_set():
            last = now
            _log(watch)
    _log(watch)


def _log(watch: Watch) -> None:
    tally, rate = watch.tally, watch.tally.votes_per_second
    left = (watch.votes_wanted - tally.num_votes) / rate if rate else float("inf")
    logger.info(
        "sigma %g: %d/%d images, %d/%d votes, %.0f votes/s, %.0f s left, "
        "certified accuracy %.1f %%",
        watch.run.sigma,
        tally.num_images,
        watch.num_images,
        tally.num_votes,
        watch.votes_wanted,
        rate,
        left,
        tally.certified_percent,
        extra={"run": watch.run_id},
    )
