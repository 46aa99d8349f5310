"""The vote ledger: blocks of votes in Parquet files that are the only checkpoint."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store
from infra.tables import from_bytes, to_bytes
from pipelines.identity import Identity, canonical, differences
from pipelines.units import BlockKey

COUNT = pa.struct([("class", pa.int32()), ("count", pa.int32())])

VOTES = pa.schema(
    [
        ("sigma", pa.float64()),
        ("image_key", pa.string()),
        ("label", pa.int32()),
        ("stream", pa.string()),
        ("block", pa.int32()),
        ("counts", pa.list_(COUNT)),
        ("invalid", pa.int32()),
        ("seconds", pa.float64()),
        ("image_sha256", pa.string()),
        ("failure", pa.string()),
        ("conditions", pa.string()),
    ]
)
"""One row per block: sparse counts, copies that voted for no class, device seconds,
why the block failed if it did, and batch shape, compile mode and device, as JSON."""

UNITS = {"sigma": "std in [0, 1] pixels", "seconds": "s", "counts": "votes"}


def folder(sigma: float) -> str:
    """Return the folder of one sigma's votes inside OUT."""
    return f"votes/sigma_{sigma:g}"


def vote_metadata(
    identity: Identity, recipe: Mapping[str, Any], name: str
) -> dict[str, str]:
    """Return the facts that are written with every unit of votes.

    Args:
        identity: what the votes depend on.
        recipe: the run as resolved, for whoever finds only the votes.
        name: of the recipe.
    """
    return {
        "vote_identity": canonical(identity),
        "recipe": json.dumps(recipe, sort_keys=True),
        "name": name,
        "units": json.dumps(UNITS, sort_keys=True),
    }


def commit(store: Store, votes: pa.Table, metadata: Mapping[str, str]) -> str:
    """Write blocks of votes once, under a name that follows from their keys.

    Args:
        store: of OUT.
        votes: rows of :data:`VOTES`, all of one sigma.
        metadata: from :func:`vote_metadata`.

    Returns:
        The name. A second commit of the same keys changes nothing.
    """
    votes = votes.select(VOTES.names).cast(VOTES)
    votes = votes.sort_by([(n, "ascending") for n in ("image_key", "stream", "block")])
    keys = votes.select(["image_key", "stream", "block"]).to_pylist()
    label = json.dumps([metadata["vote_identity"], keys], sort_keys=True)
    name = hashlib.blake2b(label.encode(), digest_size=12).hexdigest()
    path = f"{folder(votes['sigma'][0].as_py())}/{name}.parquet"
    store.write_once(path, to_bytes(votes, metadata))
    return path


@dataclass(frozen=True)
class Ledger:
    """The votes of one sigma that can be seen, each block once."""

    votes: pa.Table
    """Rows of :data:`VOTES` and ``file``, the name each was read from."""

    metadata: tuple[dict[str, str], ...]
    """Different facts of the files, in order of their names."""

    num_differing: int
    """Blocks found more than once with different votes; the first is kept."""

    def done(self) -> set[BlockKey]:
        """Return the keys of the blocks that are there."""
        columns = (self.votes[name] for name in ("image_key", "stream", "block"))
        return set(zip(*(column.to_pylist() for column in columns), strict=True))


def read_ledger(store: Store, sigma: float) -> Ledger:
    """Read the visible votes of one sigma.

    Args:
        store: of OUT.
        sigma: std of the certified noise, in [0, 1] pixels.

    Returns:
        Each block once: of several, the one in the file of the smallest name, a rule
        that does not look at the votes.

    Raises:
        ValueError: a file cannot be read.
    """
    return ledger_of(store, vote_files(store, sigma))


def vote_files(store: Store, sigma: float) -> list[str]:
    """Return the names of one sigma's vote files, sorted."""
    found = store.names(f"{folder(sigma)}/")
    return [name for name in found if name.endswith(".parquet")]


def ledger_of(store: Store, names: Iterable[str]) -> Ledger:
    """Read some vote files as :func:`read_ledger` reads all of a sigma's."""
    tables, metadata = [], []
    for name in names:
        table, facts = from_bytes(store.read(name), f"{store.url}/{name}")
        tables.append(table.append_column("file", pa.array([name] * len(table))))
        metadata.append(facts)
    empty = VOTES.append(pa.field("file", pa.string())).empty_table()
    votes, num_differing = _each_once(pa.concat_tables([empty, *tables]))
    distinct = {canonical(facts): facts for facts in metadata}
    return Ledger(votes, tuple(distinct.values()), num_differing)


def _each_once(votes: pa.Table) -> tuple[pa.Table, int]:
    """Drop all but the first of each block; count those that differ from it."""
    seen: dict[tuple, Any] = {}
    keep: list[int] = []
    num_differing = 0
    columns = (votes[n].to_pylist() for n in ("image_key", "stream", "block"))
    for row, key in enumerate(zip(*columns, strict=True)):
        if key not in seen:
            seen[key] = row
            keep.append(row)
        elif not _same_votes(votes, seen[key], row):
            num_differing += 1
    return votes.take(pa.array(keep, pa.int64())), num_differing


def _same_votes(votes: pa.Table, one: int, other: int) -> bool:
    return all(votes[name][one] == votes[name][other] for name in ("counts", "invalid"))


def require_identity(ledger: Ledger, wanted: Identity, where: str) -> None:
    """Refuse to add votes to those of another vote identity.

    Args:
        ledger: votes that exist.
        wanted: identity of the run that would continue them.
        where: OUT, for the error.

    Raises:
        ValueError: they differ; names every field.
    """
    for facts in ledger.metadata:
        stored = json.loads(facts["vote_identity"])
        changed = differences(stored, wanted)
        if changed:
            raise ValueError(
                f"certify needs votes of one identity; {where} has votes of another "
                f"({'; '.join(changed)}). Set the fields back, or take another --out."
            )


def require_same_images(ledger: Ledger, digests: Mapping[str, str], where: str) -> None:
    """Refuse to add votes for an image whose content has changed.

    Args:
        ledger: votes that exist.
        digests: SHA-256 of each image asked for, by key.
        where: OUT, for the error.

    Raises:
        ValueError: an image's votes were cast on other content.
    """
    pairs = ledger.votes.select(["image_key", "image_sha256"])
    for row in pairs.group_by(["image_key", "image_sha256"]).aggregate([]).to_pylist():
        key, stored = row["image_key"], row["image_sha256"]
        if digests.get(key, stored) != stored:
            raise ValueError(
                f"certify needs the images its votes were cast on; {where} has votes "
                f"for {key!r} with sha256 {stored[:12]}, now it is "
                f"{digests[key][:12]}. Restore the image, or take another --out."
            )


def num_votes(votes: pa.Table, stream: str | None = None) -> int:
    """Return how many copies have voted, for a class or for none."""
    if stream is not None:
        votes = votes.filter(pc.equal(votes["stream"], stream))
    counted = pc.list_flatten(votes["counts"])
    valid = pc.sum(pc.struct_field(counted, "count")).as_py() or 0
    return valid + (pc.sum(votes["invalid"]).as_py() or 0)
