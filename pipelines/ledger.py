"""The vote ledger: blocks of votes in Parquet files that are the only checkpoint."""

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from infra.object_store import Store
from infra.tables import from_bytes, to_bytes
from ops.vote.streams import num_copies
from pipelines.canonical import Identity, canonical, differences

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

BY_KEY = [(name, "ascending") for name in ("image_key", "stream", "block")]
"""How the rows of every file are sorted."""

MERGED = "merged-"
"""Begins the name of a file that holds what several units' files held."""

_OTHER = "~"
"""Between the name of a file and the digest of other votes of the same blocks; it sorts
behind what follows in the name of the first."""

_VOTED = ["image_key", "stream", "block", "counts", "invalid"]

logger = logging.getLogger(__name__)

_IN_FOLDER = re.compile(r"votes/sigma_(?P<sigma>[0-9.]+(e[+-]?[0-9]+)?)/")


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


def commit(
    store: Store,
    votes: pa.Table,
    metadata: Mapping[str, str],
    *,
    inside: str | None = None,
    schema: pa.Schema = VOTES,
) -> str:
    """Write blocks of votes once, under a name that follows from their keys.

    Args:
        store: of OUT.
        votes: rows of ``schema``, all of one sigma.
        metadata: from :func:`vote_metadata`.
        inside: folder of the ledger; ``None``: that of the sigma's votes.
        schema: :data:`VOTES`, or that with more columns.

    Returns:
        The name. A second commit of the same keys changes nothing; if its votes are
        others, they are kept beside the first, which count, so that readers can tell.
    """
    votes = votes.select(schema.names).cast(schema).sort_by(BY_KEY)
    name = name_of(votes, metadata, inside)
    data = to_bytes(votes, metadata)
    if not store.write_once(name, data):
        _keep_if_other(store, name, votes, data)
    return name


def _keep_if_other(store: Store, name: str, votes: pa.Table, data: bytes) -> None:
    try:
        stored, _ = from_bytes(store.read(name), f"{store.url}/{name}")
    except FileNotFoundError:
        return  # it was merged since
    if votes.select(_VOTED).equals(stored.select(_VOTED)):
        return
    content = hashlib.blake2b(data, digest_size=6).hexdigest()
    store.write_once(f"{name.removesuffix('.parquet')}{_OTHER}{content}.parquet", data)
    logger.warning("Blocks of %s were voted again, otherwise; the first count.", name)


def first_name(name: str) -> str:
    """Return the name that a vote file's keys give, also for votes kept beside it."""
    stem, other, _ = name.partition(_OTHER)
    return f"{stem}.parquet" if other else name


def name_of(
    votes: pa.Table, metadata: Mapping[str, str], inside: str | None = None
) -> str:
    """Return the name that follows from the keys of a unit's votes.

    Args:
        votes: rows of :data:`VOTES`, sorted :data:`BY_KEY`.
        metadata: from :func:`vote_metadata`.
        inside: folder of the ledger; ``None``: that of the sigma's votes.
    """
    inside = inside or folder(votes["sigma"][0].as_py())
    keys = votes.select(["image_key", "stream", "block"]).to_pylist()
    label = json.dumps([metadata["vote_identity"], keys], sort_keys=True)
    digest = hashlib.blake2b(label.encode(), digest_size=12).hexdigest()
    return f"{inside}/{digest}.parquet"


def vote_files(store: Store, ledger: float | str) -> list[str]:
    """Return the names of a ledger's vote files, in the order they count.

    Where several files hold a block, the first of them counts: merged files before
    others, then by name.

    Args:
        store: of OUT.
        ledger: a sigma whose votes they are, or the folder they lie in.
    """
    inside = ledger if isinstance(ledger, str) else folder(ledger)
    return sorted(parquet_files(store, inside), key=precedence)


def stored_sigmas(store: Store) -> list[float]:
    """Return the sigmas of which OUT holds votes, sorted, as folders name them.

    Args:
        store: of OUT.
    """
    found = (_IN_FOLDER.match(name) for name in parquet_files(store, "votes"))
    return sorted({float(one["sigma"]) for one in found if one is not None})


def parquet_files(store: Store, inside: str) -> list[str]:
    """Return the names of the Parquet files in a folder and those below it, sorted.

    Args:
        store: of OUT.
        inside: name of the folder.
    """
    while True:
        found = store.names(f"{inside}/")
        # A list takes a while. A file that was merged and removed meanwhile may be
        # missing from it together with the one that stands for it by then.
        if set(store.names(f"{inside}/{MERGED}")) <= set(found):
            return [name for name in found if name.endswith(".parquet")]


def precedence(name: str) -> tuple[bool, str]:
    """Return what vote files are sorted by."""
    return not is_merged(name), name


def is_merged(name: str) -> bool:
    """Return whether a vote file holds what several units' files held."""
    return name.rpartition("/")[2].startswith(MERGED)


def merged_from(facts: Mapping[str, str]) -> list[str]:
    """Return the names of the files whose votes a file stands for; usually none.

    Args:
        facts: metadata of the file.
    """
    return json.loads(facts.get("merged_from", "[]"))


def num_votes(votes: pa.Table, block: int) -> int:
    """Return how many copies have voted, for a class or for none.

    Args:
        votes: rows of :data:`VOTES`.
        block: copies in a block.
    """
    counted = votes["stream"].value_counts().to_pylist()
    return sum(one["counts"] * num_copies(one["values"], block) for one in counted)


def require_identity(
    metadata: Iterable[Mapping[str, str]], wanted: Identity, where: str
) -> None:
    """Refuse to add votes to those of another vote identity.

    Args:
        metadata: facts of the files that exist.
        wanted: identity of the run that would continue them.
        where: OUT, for the error.

    Raises:
        ValueError: they differ; names every field.
    """
    for facts in metadata:
        stored = json.loads(facts["vote_identity"])
        changed = differences(stored, wanted)
        if changed:
            raise ValueError(
                f"certify needs votes of one identity; {where} has votes of another "
                f"({'; '.join(changed)}). Set the fields back, or take another --out."
            )
