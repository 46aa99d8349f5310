"""Blocks that several vote files hold, and whether they agree."""

import pyarrow as pa

from infra.object_store import Store
from pipelines.check import Check
from pipelines.duplicates import differ, found_again
from pipelines.image_groups import image_groups
from pipelines.ledger_index import LedgerIndex
from pipelines.rebuild import Indexes
from pipelines.vote_rows import read_votes

_NAME = "blocks found twice"
_CHANGED = (
    "Votes of the same conditions are equal, unless somebody changed them or the "
    "device does not repeat itself: vote some again with --recompute 100."
)
_FLIPPED = "The first counts. The last bits of scores differ between conditions."


def look_at_duplicates(store: Store, indexes: Indexes) -> Check:
    """Say how many blocks were found more than once, and how many of them differ.

    Args:
        store: of OUT.
        indexes: of its votes.
    """
    again = differing = changed = merged = 0
    for index in indexes.values():
        merged += index.num_differing
        if index.num_rows > sum(index.num_blocks().values()):
            counted = _counted(store, index)
            again, differing = again + counted[0], differing + counted[1]
            changed += counted[2]
    told = f"{again:,}; {differing:,} of them differ" if again else "none"
    if merged:
        told += f", and {merged:,} that differed were dropped when files were merged"
    if changed:
        told += f"; {changed:,} differ although cast under the same conditions"
        return Check(_NAME, "fail", told, _CHANGED)
    if differing or merged:
        return Check(_NAME, "warn", told, _FLIPPED)
    return Check(_NAME, "pass", told)


def _counted(store: Store, index: LedgerIndex) -> tuple[int, int, int]:
    """Return how many blocks come again, differ, and differ under like conditions."""
    again = differing = changed = 0
    labels = dict.fromkeys(index.codes, 0)
    for group in image_groups(index, labels):
        tables = [read_votes(store, [f], group.keys).rows for f in group.files]
        rows = pa.concat_tables(tables)
        later, first = found_again(rows)
        different = differ(rows, later, first)
        conditions = rows["conditions"].to_pylist()
        pairs = zip(later[different], first[different], strict=True)
        again, differing = again + len(later), differing + int(different.sum())
        changed += sum(conditions[one] == conditions[other] for one, other in pairs)
    return again, differing, changed
