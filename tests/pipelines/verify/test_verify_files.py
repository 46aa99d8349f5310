import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.object_store import Store
from infra.tables import from_bytes
from pipelines.check import Check
from pipelines.compact import compact
from pipelines.ledger import VOTES, commit
from pipelines.verify_files import look_at_files

Names = Callable[[], list[str]]
Read = Callable[[str], tuple[pa.Table, dict[str, str]]]
Change = Callable[..., None]
Checked = Callable[..., dict[str, Check]]


@pytest.fixture(params=["small", "merged"])
def place(request: pytest.FixtureRequest, out: Store, names: Names) -> str:
    """Return the name of a vote file, as it was committed or merged."""
    if request.param == "merged":
        compact(out.url)
    return names()[0]


@pytest.mark.parametrize("column", ["image_key", "block", "counts", "seconds"])
def test_a_flipped_byte_of_votes_is_found(
    out: Store, place: str, column: str, failed: Checked
) -> None:
    group = pq.ParquetFile(Path(out.url) / place).metadata.row_group(0)
    chunk = next(
        chunk
        for chunk in map(group.column, range(group.num_columns))
        if chunk.path_in_schema.partition(".")[0] == column
    )
    content = bytearray(out.read(place))
    first = chunk.dictionary_page_offset or chunk.data_page_offset
    content[first + chunk.total_compressed_size - 1] ^= 1
    out.write(place, bytes(content))

    found = failed()

    assert list(found) == ["vote files", "recount"]
    assert place in found["vote files"].found


def test_no_flipped_byte_changes_what_is_read_unnoticed(out: Store, place: str) -> None:
    content = out.read(place)
    rows, facts = from_bytes(content, place)
    noticed = 0
    for at in range(0, len(content), 41):
        spoilt = bytearray(content)
        spoilt[at] ^= 0x41
        out.write(place, bytes(spoilt))
        if all(one.status == "pass" for one in look_at_files(out, [0.25]).checks):
            again, told = from_bytes(bytes(spoilt), place)
            assert again.equals(rows)
            assert told["vote_identity"] == facts["vote_identity"]
        else:
            noticed += 1
    assert noticed > 20


def test_a_renamed_file_is_found(out: Store, place: str, failed: Checked) -> None:
    other = f"{place.removesuffix('.parquet')}0.parquet"
    out.write(other, out.read(place))
    out.remove(place)

    found = failed()

    assert list(found) == ["vote files"]
    assert f"{other} should be called {place}" in found["vote files"].found


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"counts": [{"class": 3, "count": 9}]}, "do not add up"),
        ({"counts": [{"class": 3, "count": 11}], "invalid": -1}, "count below 1"),
        ({"counts": [{"class": 10, "count": 10}], "invalid": 0}, "class there is not"),
        ({"failure": "gone"}, "although it failed"),
        ({"label": 10}, "label there is not"),
        ({"sigma": 0.250001}, "another sigma"),
    ],
)
def test_votes_that_cannot_be_are_found(
    columns: dict[str, Any], what: str, names: Names, change: Change, failed: Checked
) -> None:
    change(names()[0], **columns)

    assert what in failed()["blocks"].found


def test_a_block_nobody_asked_for_is_found(
    out: Store, names: Names, read: Read, failed: Checked
) -> None:
    rows, facts = read(names()[0])
    more = pa.Table.from_pylist([{**rows.to_pylist()[0], "block": 7}], VOTES)
    commit(out, more, facts)

    assert "block 7 of" in failed()["blocks"].found


def test_votes_of_two_identities_are_found(
    out: Store, names: Names, read: Read, failed: Checked
) -> None:
    rows, facts = read(names()[0])
    identity = {**json.loads(facts["vote_identity"]), "seed": 5}
    commit(out, rows, {**facts, "vote_identity": json.dumps(identity)})

    found = failed()

    assert "seed" in found["vote identity"].found
