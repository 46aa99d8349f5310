from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from votes_made import block, image, only, table

from infra.object_store import open_store
from ops.certify.clopper_pearson import largest_radius
from pipelines.certificates import certify_votes
from pipelines.certify_stage import certify_here
from pipelines.histograms import histogram
from pipelines.ledger import commit, vote_metadata
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import reading_of
from pipelines.recipe import Recipe, Run
from pipelines.results import curves_of, num_set_aside, write_results


@pytest.fixture
def run(run_of: Callable[..., Run]) -> Run:
    return run_of()


def test_a_histogram_adds_up_the_prefix_of_one_stream_only() -> None:
    votes = table(
        [
            block("a", "estimate", 0, ({1: 7, 2: 3}, 0)),
            block("a", "estimate", 1, ({1: 4}, 6)),
            block("a", "estimate", 2, ({9: 10}, 0)),
            block("a", "select", 0, ({8: 10}, 0)),
            block("other", "estimate", 0, ({5: 10}, 0)),
        ]
    )

    counted = histogram(
        votes, ["b", "a"], stream="estimate", num_blocks=2, num_classes=10
    )

    assert counted.votes[1].tolist() == [0, 11, 3, 0, 0, 0, 0, 0, 0, 0]
    assert counted.votes[0].sum() == 0
    assert counted.invalid.tolist() == [0, 6]
    assert counted.num_blocks.tolist() == [0, 2]


def test_no_votes_are_an_empty_histogram() -> None:
    counted = histogram(table([]), ["a"], stream="select", num_blocks=2, num_classes=3)

    assert counted.votes.tolist() == [[0, 0, 0]]
    assert counted.num_blocks.tolist() == [0]


def test_unanimous_votes_reach_the_largest_radius(run: Run) -> None:
    found = only(certify_votes(table(image("a")), {"a": 3}, reading_of(run, 1)))

    assert found["radius"] == pytest.approx(largest_radius(0.25, 20, 0.001), abs=1e-12)
    assert (found["guessed_class"], found["clean_class"]) == (3, 3)
    assert found["reason"] == "certified"
    assert found["counts"] == [{"class": 3, "count": 20}]
    assert (found["num_votes"], found["num_draws"]) == (20, 20)


def test_copies_that_vote_for_no_class_count_against(run: Run) -> None:
    invalid, lost, none = (
        only(certify_votes(table(image("a", votes)), {"a": 3}, reading_of(run, 1)))
        for votes in (({3: 9}, 1), ({3: 9, 4: 1}, 0), ({3: 10}, 0))
    )

    assert 0 < invalid["radius"] == lost["radius"] < none["radius"]
    assert (invalid["num_votes"], invalid["num_draws"]) == (18, 20)
    assert invalid["invalid"] == 2


def test_an_image_that_failed_has_radius_0_and_its_reason(run: Run) -> None:
    rows = image("a", failure="Image 'a' is broken.")
    for row in rows:
        row["counts"], row["invalid"] = [], 1 if row["stream"] == "clean" else 10

    found = certify_votes(table(rows), {"a": 3}, reading_of(run, 1))

    assert only(found)["reason"] == "Image 'a' is broken."
    assert (only(found)["radius"], only(found)["abstained"]) == (0, True)
    assert (only(found)["guessed_class"], only(found)["clean_class"]) == (-1, -1)
    assert num_set_aside(found) == 1


def test_a_split_vote_abstains_and_is_not_set_aside(run: Run) -> None:
    found = certify_votes(
        table(image("a", ({3: 5, 4: 5}, 0))), {"a": 3}, reading_of(run, 1)
    )

    assert (only(found)["reason"], only(found)["radius"]) == ("abstained", 0)
    assert num_set_aside(found) == 0


def test_the_class_is_guessed_from_the_select_votes_alone(run: Run) -> None:
    rows = image("a")
    rows[1]["counts"] = [{"class": 5, "count": 10}]

    found = only(certify_votes(table(rows), {"a": 3}, reading_of(run, 1)))

    assert (found["guessed_class"], found["smoothed_class"]) == (5, 3)
    assert (found["num_votes"], found["radius"], found["abstained"]) == (0, 0, True)


def test_images_do_not_touch_each_other(run: Run) -> None:
    rows = [
        row
        for index in range(6)
        for row in image(f"image_{index}", ({3: 10 - index, 4: index}, 0))
    ]
    labels = {f"image_{index}": index for index in range(6)}

    together = certify_votes(table(rows), labels, reading_of(run, 1))

    alone = [
        certify_votes(table(rows), {k: v}, reading_of(run, 1))
        for k, v in labels.items()
    ]
    assert pa.concat_tables(alone).equals(together)


def test_certificates_have_the_same_bytes_whatever_the_order_of_files_and_rows(
    recipe_of: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = recipe_of()
    rows = [row for key in "cabd" for row in image(key, ({3: 8, 5: 1}, 1))]
    written = []
    for order in (1, -1):
        store = open_store(tmp_path / f"{order}")
        votes = table(rows[::order])
        labels = dict.fromkeys("abcd"[::order], 3)
        index = _as_files(store, votes, size=3 + order)
        found = certify_here(store, reading_of(recipe.runs[0], 1), index, labels)
        write_results(store, [found], curves_of(store, "small", [found]))
        written.append(store.read("certificates.parquet"))

    assert written[0] == written[1]


def _as_files(store: Any, votes: pa.Table, size: int) -> LedgerIndex:
    for start in range(0, len(votes), size):
        commit(store, votes.slice(start, size), vote_metadata({}, {}, "six"))
    return LedgerIndex(store, 0.25)


def test_what_the_certificates_read_are_these_blocks(run: Run) -> None:
    assert reading_of(run, 1).blocks == {"clean": 1, "select": 1, "estimate": 2}
