import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from infra.object_store import Store
from pipelines.check import Check
from pipelines.compact import compact
from pipelines.ledger import VOTES, commit

Names = Callable[[], list[str]]
Read = Callable[[str], tuple[pa.Table, dict[str, str]]]
Change = Callable[..., None]
Checked = Callable[..., dict[str, Check]]


@pytest.fixture
def duplicate(out: Store, names: Names, read: Read) -> Change:
    """Return what adds a file that holds a block which is there, and a later one."""

    def add(**changed: Any) -> None:
        rows = [row for name in names() for row in read(name)[0].to_pylist()]
        row = next(r for r in rows if (r["stream"], r["block"]) == ("estimate", 0))
        facts = read(names()[0])[1]
        recipe = json.loads(facts["recipe"])
        recipe["sampling"]["num_estimate"] = 990
        facts["recipe"] = json.dumps(recipe)
        for block in range(50, 99):
            votes = [{**row, **changed}, {**row, "block": block}]
            name = commit(out, pa.Table.from_pylist(votes, VOTES), facts)
            if name == names()[-1]:  # it counts last, so no certificate changes
                return
            out.remove(name)

    return add


def test_a_duplicate_that_is_equal_does_no_harm(
    out: Store, checked: Checked, duplicate: Change
) -> None:
    duplicate()

    found = checked()

    assert found["blocks found twice"].found == "1; 0 of them differ"
    assert found["blocks found twice"].status == "pass"


def test_a_duplicate_that_differs_is_found(
    out: Store, failed: Checked, duplicate: Change
) -> None:
    duplicate(counts=[{"class": 5, "count": 10}], invalid=0)

    found = failed()

    assert list(found) == ["blocks found twice"]
    assert "1; 1 of them differ" in found["blocks found twice"].found


def test_a_unit_that_was_voted_again_otherwise_is_found_and_survives_merging(
    out: Store, names: Names, read: Read, failed: Checked, checked: Checked
) -> None:
    name, *_ = names()
    rows, facts = read(name)
    *others, last = rows.to_pylist()
    otherwise = {**last, "counts": [], "invalid": 10}
    commit(out, pa.Table.from_pylist([*others, otherwise], VOTES), facts)

    assert list(failed()) == ["blocks found twice"]

    compact(out.url)
    told = checked()["blocks found twice"].found
    assert told == "none, and 1 that differed were dropped when files were merged"


def test_a_duplicate_may_differ_under_other_conditions(
    out: Store, checked: Checked, duplicate: Change
) -> None:
    duplicate(
        counts=[{"class": 5, "count": 10}],
        invalid=0,
        conditions='{"batch": 7, "device": "another"}',
    )

    found = checked()

    assert found["blocks found twice"].status == "warn"
    compact(out.url)
    after = checked()
    assert after["blocks found twice"] == found["blocks found twice"]
