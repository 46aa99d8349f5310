from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.object_store import open_store
from infra.tables import SCHEMA_VERSION, from_bytes, to_bytes

COUNTS = [[{"class": row % 10, "count": 90}] for row in range(40)]
TABLE = pa.table(
    {
        "image_key": [f"digits_{row:04d}" for row in range(40)],
        "counts": pa.array(
            COUNTS, pa.list_(pa.struct([("class", pa.int32()), ("count", pa.int32())]))
        ),
        "seconds": [0.01 * row for row in range(40)],
    }
)
FACTS = {"vote_identity": "one", "schema_version": SCHEMA_VERSION}


def end_of_pages(data: bytes) -> int:
    """Return where the footer of a Parquet file begins."""
    return len(data) - 8 - int.from_bytes(data[-8:-4], "little")


def flipped(data: bytes, at: int, bits: int = 0x01) -> bytes:
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


def test_what_is_written_is_read() -> None:
    table, facts = from_bytes(to_bytes(TABLE, {"vote_identity": "one"}), "a.parquet")

    assert table.equals(TABLE)
    assert facts == FACTS


def read_or_refusal(data: bytes) -> pa.Table | str:
    try:
        return from_bytes(data, "votes/a.parquet")[0]
    except ValueError as error:
        return str(error)


def test_a_flipped_bit_never_changes_a_value_unseen() -> None:
    data = to_bytes(TABLE, {"vote_identity": "one"})
    places = [(at, bits) for at in range(end_of_pages(data)) for bits in (0x01, 0x80)]
    outcomes = [read_or_refusal(flipped(data, *place)) for place in places]

    refusals = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert all("votes/a.parquet has" in refusal for refusal in refusals)
    assert all(o.equals(TABLE) for o in outcomes if isinstance(o, pa.Table))
    # What else there is in a page's header, such as statistics, decides no value.
    assert len(refusals) > len(places) / 2


def test_a_flipped_bit_of_the_footer_is_refused_by_name_or_loses_no_row() -> None:
    data = to_bytes(TABLE, {"vote_identity": "one"})
    for at in range(end_of_pages(data), len(data)):
        for bits in (0x01, 0x80):
            outcome = read_or_refusal(flipped(data, at, bits))
            if isinstance(outcome, str):
                assert "votes/a.parquet" in outcome, at
            else:
                assert len(outcome) == len(TABLE), at


def test_a_table_without_checksums_is_read_too(tmp_path: Path) -> None:
    stored = {f"diffsmooth.{key}": value for key, value in FACTS.items()}
    pq.write_table(TABLE.replace_schema_metadata(stored), tmp_path / "a.parquet")

    table, facts = from_bytes((tmp_path / "a.parquet").read_bytes(), "a.parquet")

    assert table.equals(TABLE)
    assert facts == FACTS


def test_a_rotten_page_of_a_data_set_is_noticed_when_it_is_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "test.parquet"
    images = pa.table({"image": [bytes([row] * 500) for row in range(20)]})
    pq.write_table(images, path, compression="none", write_page_checksum=True)
    path.write_bytes(flipped(path.read_bytes(), end_of_pages(path.read_bytes()) // 2))

    with (
        open_store(tmp_path).open_parquet("test.parquet") as file,
        pytest.raises(OSError, match="checksum"),
    ):
        file.read_row_group(0)
