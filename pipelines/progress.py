"""What a person sees while votes are cast: read from the ledger as it grows."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from infra.object_store import Store
from pipelines.certificates import blocks_of, certify_votes
from pipelines.ledger import VOTES, ledger_of, num_votes, vote_files
from pipelines.recipe import Run

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between looks at the ledger on a terminal."""

LINE_SECONDS = 60.0
"""Between log lines elsewhere."""


class Tally:
    """Votes and certificates so far, from the vote files as they appear."""

    def __init__(self, store: Store, run: Run, labels: Mapping[str, int]) -> None:
        self._store, self._run, self._labels = store, run, labels
        self._seen: set[str] = set()
        self._open = VOTES.empty_table()
        blocks = blocks_of(run)
        self._streams = pa.array(list(blocks))
        self._blocks_per_image = sum(blocks.values())
        self.num_votes = 0
        self.num_images = 0
        self.num_certified = 0

    def look(self) -> None:
        """Read the vote files that are new."""
        new = [
            n for n in vote_files(self._store, self._run.sigma) if n not in self._seen
        ]
        self._seen.update(new)
        votes = ledger_of(self._store, new).votes.select(VOTES.names)
        self.num_votes += num_votes(votes)
        votes = votes.filter(pc.is_in(votes["stream"], self._streams))
        votes = pa.concat_tables([self._open, votes])
        counted = votes.group_by("image_key").aggregate([("block", "count")])
        whole = pc.greater_equal(counted["block_count"], self._blocks_per_image)
        keys = counted.filter(whole)["image_key"]
        finished = pc.is_in(votes["image_key"], keys.combine_chunks())
        self._open = votes.filter(pc.invert(finished))
        self._certify(votes.filter(finished), keys.to_pylist())

    def _certify(self, votes: pa.Table, keys: list[str]) -> None:
        labels = {key: self._labels[key] for key in keys if key in self._labels}
        if not labels:
            return
        certificates = certify_votes(votes, labels, self._run)
        right = pc.equal(certificates["guessed_class"], certificates["label"])
        right = pc.and_(right, pc.invert(certificates["abstained"]))
        self.num_images += len(labels)
        self.num_certified += pc.sum(right).as_py()

    @property
    def certified_percent(self) -> float:
        """Certified accuracy at radius 0 of the images that are done, in percent."""
        return 100 * self.num_certified / max(1, self.num_images)


@contextmanager
def watched(
    store: Store, run: Run, labels: Mapping[str, int], votes_wanted: int
) -> Iterator[Tally]:
    """Show the ledger's growth while the body runs.

    Args:
        store: of OUT.
        run: whose votes.
        labels: true class by key of the images asked for.
        votes_wanted: votes there will be in the end.

    Yields:
        The tally; it has looked a last time when the body is done.
    """
    tally = Tally(store, run, labels)
    tally.look()
    show = _bar if sys.stderr.isatty() else _lines
    stop = threading.Event()
    watcher = threading.Thread(
        target=show, args=(tally, run, len(labels), votes_wanted, stop), daemon=True
    )
    watcher.start()
    try:
        yield tally
    finally:
        stop.set()
        watcher.join()


def _bar(
    tally: Tally, run: Run, images: int, votes_wanted: int, stop: threading.Event
) -> None:
    before, began = tally.num_votes, time.monotonic()
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
            "", total=votes_wanted, sigma=run.sigma, images="", rate=0.0, certified=0.0
        )
        while not stop.wait(LOOK_SECONDS):
            tally.look()
            _update(bar, task, tally, images, (tally.num_votes - before, began))
        tally.look()
        _update(bar, task, tally, images, (tally.num_votes - before, began))


def _update(
    bar: Progress, task: TaskID, tally: Tally, images: int, since: tuple[int, float]
) -> None:
    votes, began = since
    bar.update(
        task,
        completed=tally.num_votes,
        images=f"{tally.num_images}/{images}",
        rate=votes / max(1e-9, time.monotonic() - began),
        certified=tally.certified_percent,
    )


def _lines(
    tally: Tally, run: Run, images: int, votes_wanted: int, stop: threading.Event
) -> None:
    before, began = tally.num_votes, time.monotonic()
    while not stop.wait(LINE_SECONDS):
        tally.look()
        _log(tally, run, images, votes_wanted, (tally.num_votes - before, began))
    tally.look()
    _log(tally, run, images, votes_wanted, (tally.num_votes - before, began))


def _log(
    tally: Tally, run: Run, images: int, votes_wanted: int, since: tuple[int, float]
) -> None:
    votes, began = since
    rate = votes / max(1e-9, time.monotonic() - began)
    left = (votes_wanted - tally.num_votes) / rate if rate else float("inf")
    logger.info(
        "sigma %g: %d/%d images, %d/%d votes, %.0f votes/s, %.0f s left, "
        "certified accuracy %.1f %%",
        run.sigma,
        tally.num_images,
        images,
        tally.num_votes,
        votes_wanted,
        rate,
        left,
        tally.certified_percent,
    )
