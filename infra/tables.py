"""Arrow tables as Parquet bytes, with a schema version in their metadata."""

import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA_VERSION = "1"
"""Of every table the product writes; raised when a column changes its meaning."""

_OURS = "diffsmooth."


def to_bytes(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """Return a table as a Parquet file; equal tables give equal bytes.

    Args:
        table: what to write.
        metadata: facts about the whole table, stored under ``diffsmooth.*``.
    """
    facts = {"schema_version": SCHEMA_VERSION, **metadata}
    stored = {f"{_OURS}{key}": value for key, value in sorted(facts.items())}
    target = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(stored), target, compression="zstd")
    return target.getvalue()


def from_bytes(data: bytes, name: str) -> tuple[pa.Table, dict[str, str]]:
    """Return a table and its facts from the bytes of a Parquet file.

    Args:
        data: of the whole file.
        name: what to call it in an error.

    Raises:
        ValueError: the file is broken, or of a schema this version does not know.
    """
    try:
        table = pq.read_table(io.BytesIO(data))
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"diffsmooth needs a whole Parquet file; {name} has {error}. "
            f"Delete that file and run again: what it held is made anew."
        ) from error
    stored = table.schema.metadata or {}
    facts = {
        key.decode().removeprefix(_OURS): value.decode()
        for key, value in stored.items()
        if key.decode().startswith(_OURS)
    }
    if facts.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"diffsmooth needs tables of schema version {SCHEMA_VERSION}; {name} has "
            f"{facts.get('schema_version')!r}. Read it with the version that wrote it."
        )
    return table, facts
