"""Arrow tables as Parquet bytes, with a schema version in their metadata."""

import io
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA_VERSION = "1"
"""Of every table the product writes; raised when a column changes its meaning."""

_OURS = "diffsmooth."

_ROWS_IN_GROUP = 1 << 14
"""So that a reader of few images need not read a merged file whole."""


def to_bytes(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """Return a table as a Parquet file; equal tables give equal bytes.

    Args:
        table: what to write.
        metadata: facts about the whole table, stored under ``diffsmooth.*``.
    """
    facts = {"schema_version": SCHEMA_VERSION, **metadata}
    stored = {f"{_OURS}{key}": value for key, value in sorted(facts.items())}
    target = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(stored),
        target,
        compression="zstd",
        row_group_size=_ROWS_IN_GROUP,
        write_page_checksum=True,
    )
    return target.getvalue()


def from_bytes(
    data: bytes, name: str, *, columns: Sequence[str] | None = None
) -> tuple[pa.Table, dict[str, str]]:
    """Return a table and its facts from the bytes of a Parquet file.

    Args:
        data: of the whole file.
        name: what to call it in an error.
        columns: which to read; ``None`` for all.

    Raises:
        ValueError: the file is broken, or of a schema this version does not know.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        wanted = None if columns is None else list(columns)
        table = file.read(columns=wanted, use_threads=False)
        return table, facts_of(file.schema_arrow, name)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # A checksum is an OSError; what rots in the footer may be any of them.
        raise ValueError(
            f"diffsmooth needs a whole Parquet file; {name} has {error}. "
            f"Delete that file and run again: what it held is made anew."
        ) from error


def facts_of(schema: pa.Schema, name: str) -> dict[str, str]:
    """Return the facts that :func:`to_bytes` stored with a table.

    Args:
        schema: of the file.
        name: what to call it in an error.

    Raises:
        ValueError: the file is of a schema this version does not know.
    """
    stored = schema.metadata or {}
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
    return facts
