import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.object_store import Store, open_store
from infra.tables import to_bytes
from pipelines.certificates import histogram
from pipelines.image_groups import image_groups
from pipelines.ledger import commit, vote_metadata
from pipelines.ledger_index import LedgerIndex
from pipelines.predict import (
    PREDICTIONS,
    predict,
    prediction_claims,
    predictions_of,
)
from pipelines.prepare import Job
from pipelines.recipe import Recipe, Run
from pipelines.vote_rows import read_all_votes

Cast = Callable[..., Any]
Table = Callable[..., pa.Table]

FACTS = vote_metadata({}, {}, "six")
SETTINGS = ("data.subset=first:12", "stages.unit_votes=60", "sampling.num_predict=20")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


@pytest.fixture
def run(run_of: Callable[..., Run]) -> Run:
    return run_of(*SETTINGS)


def test_a_cascade_is_not_predicted_sigma_by_sigma(
    written: str, tmp_path: Path
) -> None:
    settings = ["sigma=[0.25,0.5]", "rule={kind: cascade}"]

    with pytest.raises(ValueError, match=r"predict needs .* is cascade\. Set rule"):
        predict(written, settings, str(tmp_path / "out"))


def test_groups_predict_what_all_votes_at_once_predict(
    run: Run,
    cast: Cast,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = {e.key: e.label for e in cast(run, tmp_path, {"predict": 2, "select": 1})}
    index = LedgerIndex(store, 0.25)
    at_once = predictions_of(store, run, index, labels)

    monkeypatch.setattr(image_groups, "__defaults__", (5,))
    found = predictions_of(store, run, index, labels)

    assert found.equals(at_once)
    assert found.schema.equals(PREDICTIONS)
    assert found["image_key"].to_pylist() == sorted(labels)
    votes = read_all_votes(store, 0.25).rows
    counted = histogram(
        votes, sorted(labels), stream="predict", num_blocks=2, num_classes=10
    )
    assert found["num_top"].to_pylist() == counted.votes.max(axis=1).tolist()
    assert found["reason"].null_count == len(found)


def test_a_block_beyond_those_read_changes_no_prediction(
    run: Run, store: Store, vote_table: Table
) -> None:
    commit(store, vote_table(0, 1, stream="predict", count=10), FACTS)
    before = predictions_of(store, run, LedgerIndex(store, 0.25), {"a": 3})

    lost: dict[str, Any] = {"failure": "broken", "counts": [], "invalid": 10}
    for stream, block in (("predict", 2), ("predict", -1), ("select", 0)):
        commit(store, vote_table(block, stream=stream, **lost), FACTS)

    found = predictions_of(store, run, LedgerIndex(store, 0.25), {"a": 3})
    assert found.equals(before)
    assert found["predicted_class"].to_pylist() == [3]
    assert (found["abstained"].to_pylist(), found["reason"].to_pylist()) == (
        [False],
        [None],
    )


@pytest.mark.parametrize("blocks", [(0,), (0, -1), (1, 2), ()])
def test_an_image_without_all_its_blocks_is_not_predicted(
    run: Run, store: Store, vote_table: Table, blocks: tuple[int, ...]
) -> None:
    if blocks:
        commit(store, vote_table(*blocks, stream="predict", count=10), FACTS)

    (row,) = predictions_of(store, run, LedgerIndex(store, 0.25), {"a": 3}).to_pylist()

    assert (row["abstained"], row["reason"], row["num_top"]) == (True, "incomplete", 0)


def test_predictions_with_other_numbers_are_further_claims(
    recipe_of: Callable[..., Recipe], store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first = recipe_of(*SETTINGS)
    job = Job(first, store.url, store, [], {}, {}, {})
    laxer = recipe_of(*SETTINGS, "sampling.failure_probability=0.01")

    for recipe in (first, laxer, laxer, first):
        found = prediction_claims(replace(job, recipe=recipe))
        empty = PREDICTIONS.empty_table()
        facts = {"claims": json.dumps(found)}
        store.write("predictions.parquet", to_bytes(empty, facts))

    (one,) = found
    promises = [claim["failure_probability"] for claim in one["claims"]]
    assert promises == [0.001, 0.01]
    assert [claim["num_predict"] for claim in one["claims"]] == [20, 20]
    assert "sigma 0.25, predictions: 2 claims rest on these votes" in caplog.text
    assert "add up to 0.011." in caplog.text


def test_predictions_of_an_earlier_version_list_no_claims(
    recipe_of: Callable[..., Recipe], store: Store
) -> None:
    store.write("predictions.parquet", to_bytes(PREDICTIONS.empty_table(), {}))
    job = Job(recipe_of(*SETTINGS), store.url, store, [], {}, {}, {})

    (one,) = prediction_claims(job)

    assert len(one["claims"]) == 1
