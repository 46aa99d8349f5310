import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.object_store import Store, open_store
from infra.tables import to_bytes
from pipelines.heartbeat import (
    SILENCE_SECONDS,
    Heartbeat,
    read_heartbeat,
    write_heartbeat,
)
from pipelines.recipe import Recipe
from pipelines.resolved import resolved_yaml
from pipelines.status import Status, status

Cast = Callable[..., Any]
BEAT = Heartbeat(
    run="abc",
    state="running",
    sigma=0.25,
    images=3,
    images_done=1,
    votes=60,
    votes_wanted=93,
    votes_per_second=3.0,
    retries=2,
    set_aside={"digits_0001": "its worker died 3 times"},
    in_flight=("fused of a on node 1",),
    nodes=({"address": "10.0.0.1", "cpus": 8.0, "gpus": 1.0},),
    host="head",
    pid=7,
)


@pytest.fixture
def store(recipe_of: Callable[..., Recipe], cast: Cast, tmp_path: Path) -> Store:
    """Return an OUT of three images, of which one has all its votes."""
    recipe = recipe_of()
    store = open_store(tmp_path / "out")
    store.write("recipe.yaml", resolved_yaml(recipe).encode())
    entries = cast(recipe_of("data.subset=first:3").runs[0], tmp_path / "none")
    asked = {"image_key": [e.key for e in entries], "label": [e.label for e in entries]}
    store.write("images.parquet", to_bytes(pa.table(asked), {}))
    cast(recipe_of("data.subset=first:1").runs[0], tmp_path / "out")
    cast(recipe.runs[0], tmp_path / "out", {"clean": 1})
    return store


def said(store: Store) -> str:
    return "\n".join(status(store.url).lines())


def test_without_a_driver_it_counts_what_the_ledger_holds(store: Store) -> None:
    (standing,) = status_of_run(store).standings

    assert (standing.images, standing.images_done) == (3, 1)
    assert (standing.votes, standing.votes_wanted) == (31 + 1 + 1, 93)
    assert "1/3 images, 33/93 votes" in said(store)
    assert "not running; certify again continues it" in said(store)


def test_while_a_driver_is_heard_of_it_says_rate_time_left_and_nodes(
    store: Store,
) -> None:
    write_heartbeat(store, replace(BEAT, updated=time.time()))

    text = said(store)

    assert "running, process 7 on head" in text
    assert "3 votes/s, 0 min 11 s left at this sigma" in text
    assert "1: 10.0.0.1 (8 cores, 1 GPUs)" in text
    assert "1 calls, 2 repeated" in text
    assert "digits_0001: its worker died 3 times" in text
    assert "1/3 images, 1 failed, 60/93 votes" in text


def test_a_driver_that_fell_silent_is_lost_and_the_ledger_counts(store: Store) -> None:
    write_heartbeat(store, replace(BEAT, updated=time.time() - 2 * SILENCE_SECONDS))

    assert "lost: process 7 on head was last heard of" in said(store)
    assert "1/3 images, 33/93 votes" in said(store)


def test_a_driver_that_failed_says_why(store: Store) -> None:
    beat = replace(BEAT, state="failed", reason="No room.", updated=time.time())
    write_heartbeat(store, beat)

    assert "failed, process 7 on head, heard of" in said(store)
    assert "ago: No room." in said(store)


def test_a_run_with_all_votes_is_done_once_it_is_certified(
    store: Store, recipe_of: Callable[..., Recipe], cast: Cast, tmp_path: Path
) -> None:
    cast(recipe_of().runs[0], tmp_path / "out")
    assert "voted; certify again for certificates" in said(store)
    store.write("certificates.parquet", b"")
    sampling = {"num_select": 10, "num_estimate": 20}
    facts = {"sigma": 0.25, "images_asked_for": 3, "analysis": sampling}
    store.write("manifest.json", json.dumps({"runs": [facts]}).encode())
    assert status(store.url).lines()[1] == "state        done"

    lacking = {**facts, "reasons": {"certified": 2, "incomplete": 1}}
    store.write("manifest.json", json.dumps({"runs": [lacking]}).encode())
    assert "voted; certify again for certificates" in said(store)

    sampling["num_estimate"] = 10  # certificates of an earlier, smaller N
    store.write("manifest.json", json.dumps({"runs": [facts]}).encode())
    assert "voted; certify again for certificates" in said(store)


def test_a_heartbeat_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert read_heartbeat(store) is None

    write_heartbeat(store, BEAT)

    assert read_heartbeat(store) == BEAT


def test_a_heartbeat_of_another_version_is_passed_over(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write("progress.json", b'{"run": "abc"}')

    assert read_heartbeat(store) is None


def test_a_study_says_how_its_trials_ended(store: Store) -> None:
    store.write("recipe.yaml", b"study: {}")
    for number, way in enumerate(("finished", "stopped", "finished")):
        said = json.dumps({"status": way}).encode()
        store.write(f"studies/one/trials/{number:05}.json", said)
    store.write("studies/one/trials/00000.parquet", b"")

    assert status(store.url).lines()[2] == "trials       2 finished, 1 stopped"
    store.write("report/study.md", b"")
    assert status(store.url).lines()[1].startswith("state        done")


@pytest.mark.parametrize("name", ["manifest.json", "progress.json"])
@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_damaged_file_is_named_with_what_to_do(
    store: Store, name: str, content: bytes
) -> None:
    store.write(name, content)

    with pytest.raises(ValueError, match=rf"needs {name} to be .*/{name} has .*elete"):
        status(store.url)


def status_of_run(store: Store) -> Status:
    found = status(store.url)
    assert isinstance(found, Status)
    return found


def test_an_empty_manifest_is_one_without_certificates(store: Store) -> None:
    store.write("certificates.parquet", b"")
    store.write("manifest.json", b"{}")

    assert not status_of_run(store).certified


def test_a_place_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="status needs an OUT"):
        status(str(tmp_path))
