import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.object_store import open_store
from pipelines.certificates import certify_votes
from pipelines.ledger import num_votes, read_ledger
from pipelines.progress import Tally, watched
from pipelines.recipe import Run

Cast = Callable[..., Any]
LABELS = dict.fromkeys(("digits_0003", "digits_0005", "digits_0009"), 0)


@pytest.fixture
def run(run_of: Callable[..., Run]) -> Run:
    return run_of()


def test_a_tally_grows_with_the_votes_and_ends_with_all_images(
    run: Run, cast: Cast, tmp_path: Path
) -> None:
    labels = {e.key: e.label for e in cast(run, tmp_path, {"clean": 1, "select": 1})}
    store = open_store(tmp_path)
    tally = Tally(store, run, labels)

    tally.look()
    assert (tally.num_votes, tally.num_images) == (3 * 11, 0)

    cast(run, tmp_path)
    tally.look()
    tally.look()
    votes = read_ledger(store, run.sigma).votes
    assert (tally.num_votes, tally.num_images) == (num_votes(votes), 3)
    certificates = certify_votes(votes, labels, run).to_pylist()
    right = sum(
        row["guessed_class"] == row["label"] and not row["abstained"]
        for row in certificates
    )
    assert tally.certified_percent == pytest.approx(100 * right / 3)


def test_votes_of_predictions_make_no_image_certified(
    run: Run, cast: Cast, tmp_path: Path
) -> None:
    labels = {e.key: e.label for e in cast(run, tmp_path, {"predict": 4})}
    tally = Tally(open_store(tmp_path), run, labels)

    tally.look()

    assert (tally.num_votes, tally.num_images) == (3 * 40, 0)


def test_images_that_are_not_asked_for_are_not_counted(
    run: Run, cast: Cast, tmp_path: Path
) -> None:
    first, *_ = cast(run, tmp_path)
    tally = Tally(open_store(tmp_path), run, {first.key: first.label})

    tally.look()

    assert tally.num_images == 1


def test_no_votes_are_no_percent(run: Run, tmp_path: Path) -> None:
    tally = Tally(open_store(tmp_path), run, {})

    tally.look()

    assert (tally.num_votes, tally.certified_percent) == (0, 0.0)


def test_the_last_line_says_where_the_votes_ended(
    run: Run, cast: Cast, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipelines.progress")
    keys = [entry.key for entry in run.data.source.entries()[:3]]
    labels = dict.fromkeys(keys, 0)

    with watched(open_store(tmp_path), run, labels, 3 * 31) as tally:
        cast(run, tmp_path)

    assert tally.num_votes == 3 * 31
    assert "sigma 0.25: 3/3 images, 93/93 votes" in caplog.text


def test_the_watcher_ends_when_the_work_fails(run: Run, tmp_path: Path) -> None:
    store = open_store(tmp_path)

    with pytest.raises(RuntimeError, match="lost"), watched(store, run, LABELS, 1):
        raise RuntimeError("lost")
