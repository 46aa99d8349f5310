"""A cascade is made from votes alone, again and the same, and changes are noticed."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.object_store import Store, open_store
from infra.tables import from_bytes
from pipelines.cascade import CASCADE_FILE
from pipelines.check import Check
from pipelines.rebuild import rebuild
from pipelines.recipe import Recipe
from pipelines.recount import recount
from pipelines.verify import verify

Read = Callable[[str], tuple[pa.Table, dict[str, str]]]
Change = Callable[..., None]
Checked = Callable[..., dict[str, Check]]

AS_CASCADE = ["rule.kind=cascade"]


@pytest.fixture
def cascade(out: Store) -> Store:
    """Return an OUT whose votes were cast under ``fixed`` and read as a cascade."""
    rebuild([out.url], AS_CASCADE, None)
    return out


def contents(store: Store) -> dict[str, bytes]:
    return {
        name: store.read(name)
        for name in store.names()
        if name.startswith("report/") or name in (CASCADE_FILE, "certificates.parquet")
    }


def rows_of(store: Store) -> list[dict[str, str]]:
    text = store.read("report/table.csv").decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_votes_cast_under_fixed_are_read_as_a_cascade_and_back(
    out: Store, failed: Checked
) -> None:
    before = {row["sigma"]: row["failure_probability"] for row in rows_of(out)}

    rebuild([out.url], AS_CASCADE, None)

    after = {row["sigma"]: row["failure_probability"] for row in rows_of(out)}
    assert before == dict.fromkeys(["0.25", "0.5", "envelope"], "0.001")
    assert after == before | dict.fromkeys(before, "0.0005") | {"cascade": "0.001"}
    assert out.exists(CASCADE_FILE)
    assert failed() == {}

    rebuild([out.url], [], None)

    assert not out.exists(CASCADE_FILE)
    assert failed() == {}


def test_votes_alone_give_the_cascade_again_byte_for_byte(
    finish: Callable[[Recipe, Path], Store],
    recipe_of: Callable[..., Recipe],
    tmp_path: Path,
) -> None:
    settings = ("sigma=[0.25, 0.5]", "local.sigma=0.12", "rule.kind=cascade")
    store = finish(recipe_of(*settings), tmp_path / "cascade")
    before = contents(store)
    for path in (tmp_path / "cascade").iterdir():
        if path.name != "votes":
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    rebuild([store.url], [], None)

    assert contents(open_store(store.url)) == before
    assert CASCADE_FILE in before
    assert "report/certify_cascade.tsv" in before


def test_a_cascade_that_report_wrote_holds(cascade: Store) -> None:
    found = verify(cascade.url)

    assert [check for check in found.checks if check.status != "pass"] == []
    assert "cascade" in [check.name for check in found.checks]


@pytest.mark.parametrize(
    "columns", [{"radius": 9.0}, {"guessed_class": 9}, {"reason": "certified"}]
)
def test_an_edited_cascade_is_found(
    cascade: Store, change: Change, failed: Checked, columns: dict[str, Any]
) -> None:
    change(CASCADE_FILE, **columns)

    found = failed()

    assert list(found) == ["cascade"]
    assert "is not what the votes give" in found["cascade"].found


def test_a_cascade_that_is_gone_or_left_over_is_found(
    cascade: Store, failed: Checked
) -> None:
    kept = cascade.read(CASCADE_FILE)
    cascade.remove(CASCADE_FILE)
    assert failed()["cascade"].found == "there is no cascade.parquet"

    rebuild([cascade.url], [], None)
    cascade.write(CASCADE_FILE, kept)
    assert (
        failed()["cascade"].found == "cascade.parquet is there, but the rule is another"
    )


def test_the_manifest_remembers_what_a_cascade_promised(cascade: Store) -> None:
    manifest = json.loads(cascade.read("manifest.json"))
    counted = recount(cascade)

    for run in manifest["runs"]:
        promised = [claim["failure_probability"] for claim in run["claims"]]
        assert promised == [0.001, 0.0005]
    assert {one.reading.failure_probability for one in counted.found} == {0.0005}
    assert {one.reading.cascade_failure_probability for one in counted.found} == {0.001}


def test_a_second_promise_of_a_cascade_is_a_further_claim(cascade: Store) -> None:
    stricter = [*AS_CASCADE, "sampling.failure_probability=0.004"]
    rebuild([cascade.url], stricter, None)

    row = rows_of(cascade)[-1]

    assert (row["sigma"], row["num_claims"]) == ("cascade", "2")
    assert float(row["failure_probability_of_all_claims"]) == pytest.approx(0.005)


def test_a_cascade_of_one_sigma_that_is_left_is_refused(cascade: Store) -> None:
    with pytest.raises(ValueError, match=r"two sigmas or more in one run; it has 0\.5"):
        rebuild([cascade.url], [*AS_CASCADE, "sigma=0.5"], None)


def test_facts_name_the_votes_and_the_units(cascade: Store, read: Read) -> None:
    rows, facts = read(CASCADE_FILE)
    _, beside = from_bytes(cascade.read("certificates.parquet"), "certificates")

    assert facts["vote_identities"] == beside["vote_identities"]
    assert "radius" in json.loads(facts["units"])
    assert rows["image_key"].to_pylist() == sorted(rows["image_key"].to_pylist())
