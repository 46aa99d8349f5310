import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import cluster
from infra.interrupt import Interrupted
from infra.object_store import Store, open_store
from pipelines.attempts import ToObject
from pipelines.certificates import certify_votes
from pipelines.heartbeat import Heartbeat, read_heartbeat
from pipelines.ledger import num_votes, vote_files
from pipelines.ledger_index import LedgerIndex
from pipelines.progress import Watch, watched
from pipelines.reading import reading_of
from pipelines.recipe import Run
from pipelines.stall import Stall
from pipelines.tally import Tally
from pipelines.unit_tracker import UnitTracker
from pipelines.vote_rows import read_all_votes

Cast = Callable[..., Any]
LABELS = dict.fromkeys(("digits_0003", "digits_0005", "digits_0009"), 0)


@pytest.fixture
def run(run_of: Callable[..., Run]) -> Run:
    return run_of()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def new_tally(store: Store, run: Run, labels: dict[str, int]) -> Tally:
    return Tally(store, reading_of(run, 1), labels, LedgerIndex(store, run.sigma))


def labels_of(run: Run) -> dict[str, int]:
    entries = run.data.source.entries()[:3]
    return {entry.key: entry.label for entry in entries}


def test_a_tally_grows_with_the_votes_and_ends_with_all_images(
    run: Run, cast: Cast, store: Store, tmp_path: Path
) -> None:
    labels = labels_of(run)
    tally = new_tally(store, run, labels)
    assert (tally.num_votes, tally.num_images) == (0, 0)

    cast(run, tmp_path)
    for name in vote_files(store, run.sigma):
        tally.take([name])
        tally.take([name])  # told twice, it counts once

    votes = read_all_votes(store, run.sigma).rows
    assert (tally.num_votes, tally.num_images) == (num_votes(votes, 10), 3)
    certificates = certify_votes(votes, labels, reading_of(run, 1)).to_pylist()
    right = sum(
        row["guessed_class"] == row["label"] and not row["abstained"]
        for row in certificates
    )
    assert tally.certified_percent == pytest.approx(100 * right / 3)


def test_a_tally_goes_on_from_blocks_that_are_there_and_keeps_no_votes_of_them(
    run: Run, cast: Cast, store: Store, tmp_path: Path
) -> None:
    cast(run, tmp_path, {"clean": 1, "select": 1, "estimate": 1})
    before = vote_files(store, run.sigma)
    tally = new_tally(store, run, labels_of(run))
    assert (tally.num_votes, tally.num_images) == (3 * 21, 0)

    cast(run, tmp_path)
    tally.take([n for n in vote_files(store, run.sigma) if n not in before])

    assert (tally.num_votes, tally.num_images) == (3 * 31, 3)
    assert len(tally._open) == 0


def test_a_tally_begins_with_the_images_that_are_done(
    run: Run, cast: Cast, store: Store, tmp_path: Path
) -> None:
    labels = {e.key: e.label for e in cast(run, tmp_path)}

    tally = new_tally(store, run, labels)

    assert (tally.num_votes, tally.num_images) == (3 * 31, 3)
    assert tally.certified_percent == 0.0


def test_votes_of_a_stream_that_is_not_wanted_are_not_counted(
    run: Run, cast: Cast, store: Store, tmp_path: Path
) -> None:
    labels, index = labels_of(run), LedgerIndex(store, run.sigma)
    certify = Tally(store, reading_of(run, 1), labels, index)
    predict = Tally(store, reading_of(run, 1), labels, index, {"predict": 4})
    cast(run, tmp_path, {"predict": 4})

    for tally in (certify, predict):
        tally.take(vote_files(store, run.sigma))

    assert (certify.num_votes, certify.num_images) == (0, 0)
    assert (predict.num_votes, predict.num_images) == (3 * 40, 3)


def test_images_that_are_not_asked_for_are_not_counted(
    run: Run, cast: Cast, store: Store, tmp_path: Path
) -> None:
    first = dict(list(labels_of(run).items())[:1])
    tally = new_tally(store, run, first)
    cast(run, tmp_path)

    tally.take(vote_files(store, run.sigma))

    assert tally.num_images == 1


@pytest.fixture
def watch(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Return the watch of a run without a cluster."""
    monkeypatch.setattr(cluster, "nodes", lambda: ({"address": "here"},))
    labels = labels_of(run)
    return Watch(
        run_id="abc",
        store=store,
        run=run,
        num_images=3,
        tally=new_tally(store, run, labels),
        tell=ToObject(UnitTracker(3, 10**6)),
        stall=Stall(lambda: frozenset({"here"}), lambda: True),
    )


def last_beat(store: Store) -> Heartbeat:
    beat = read_heartbeat(store)
    assert beat is not None
    return beat


def test_the_last_line_and_the_last_heartbeat_say_where_the_votes_ended(
    cast: Cast, watch: Watch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipelines.progress")
    run, store = watch.run, watch.store

    with watched(watch):
        assert last_beat(store).state == "running"
        cast(run, tmp_path)
        for name in vote_files(store, run.sigma):
            watch.tell("committed", name, 1)

    beat = last_beat(store)
    assert "sigma 0.25: 3/3 images, 93/93 votes" in caplog.text
    assert (beat.state, beat.votes, beat.images_done) == ("voted", 93, 3)
    assert beat.nodes == ({"address": "here"},)


@pytest.mark.parametrize(
    ("error", "state"),
    [(RuntimeError("lost"), "failed"), (KeyboardInterrupt(), "stopped")],
)
def test_the_watcher_ends_with_the_work_and_says_how(
    watch: Watch, store: Store, error: BaseException, state: str
) -> None:
    with pytest.raises(type(error)), watched(watch):
        raise error

    assert last_beat(store).state == state
    assert last_beat(store).reason == str(error)


def test_a_stall_ends_the_body_and_the_run_goes_on(
    watch: Watch, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stall, "noticed", lambda *_: True)

    with pytest.raises(Interrupted), watched(watch):
        time.sleep(30)

    assert last_beat(store).state == "running"
