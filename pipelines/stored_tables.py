"""The tables that votes were gathered with: kept in OUT, and never changed mid-way.

Whoever stops early by one table has looked at the votes; another table, or one look at
the end, would then promise more than it holds. The same table with fewer radii, or more
above them, does not, nor does an e-process with another last look.
"""

from collections.abc import Mapping
from typing import Any

from infra.object_store import Store
from pipelines.canonical import digest
from pipelines.json_file import json_object
from pipelines.ledger import folder
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import CHANCES, Reading

FACT = "table"
"""Names the table in the facts of the vote files that were gathered with it."""

_WORDS = {
    "failure_probability": "the failure probability of an image",
    "block": "sampling.block",
    "anytime": "whether the preset is anytime",
    "looks": "what sampling.num_estimate and rule.preset ask for",
}
"""What a user knows the parts of a table by."""

_REMEDY = "Put a copy back; it belongs to the votes."


def store_table(store: Store, reading: Reading) -> None:
    """Write the table of a rule into OUT, once.

    Args:
        store: of OUT.
        reading: of a run; under ``fixed`` there is no table.
    """
    if reading.table_sha256 is not None:
        name = _name(reading.run.sigma, reading.table_sha256)
        store.write_once(name, reading.table_json)


def require_same_table(store: Store, index: LedgerIndex, reading: Reading) -> None:
    """Refuse to read votes otherwise than they were gathered.

    Args:
        store: of OUT.
        index: of the votes of one sigma.
        reading: that would read them, or add to them.

    Raises:
        ValueError: they were gathered with a table, and this is not part of it.
    """
    gathered = {facts[FACT] for facts in index.metadata if facts.get(FACT)}
    for sha256 in sorted(gathered - {reading.table_sha256}):
        what = _difference(_stored(store, reading.run.sigma, sha256), reading)
        if what:
            raise ValueError(
                f"Votes that were gathered sequentially need the same table again, or "
                f"one with radii left out or added above; {store.url} has votes of "
                f"table {sha256[:12]}, and {what}. Set it back, or take another --out."
            )


def _difference(stored: Mapping[str, Any], reading: Reading) -> str:
    """Return in what a reading is not part of a table, in words; empty if it is.

    Radii above the largest may be added, as is done in the second pass: each radius is
    crossed by chance within its level at all looks together, whenever one stops.
    """
    if reading.table is None:
        kind = reading.run.rule.kind
        return f"the rule is now {kind}, whose one look may not follow others"
    now = reading.table_facts
    same = ["failure_probability", "block", "anytime"]
    same += [] if stored["anytime"] else ["looks"]
    for name in same:
        if stored[name] != now[name]:
            then, today = _short(stored[name]), _short(now[name])
            return f"{_WORDS[name]} would change from {then} to {today}"
    between = [r for r in now["radii"] if r < max(stored["radii"])]
    finer = sorted(set(between) - set(stored["radii"]))
    if finer:
        return f"radius {finer[0]:g} would be new, below others"
    if _counts_by_radius(stored, now) != _counts_by_radius(now, stored):
        return "other counts certify; it is of another version"
    return ""


def _counts_by_radius(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[float, dict[int, int]]:
    """Return what certifies in a table, at the radii and looks that another has too."""
    looks = set(one["looks"]) & set(other["looks"])
    return {
        radius: {
            look: count
            for look, count in zip(one["looks"], row, strict=True)
            if look in looks
        }
        for radius, row in zip(one["radii"], one["certify"], strict=True)
        if radius in other["radii"]
    }


def _stored(store: Store, sigma: float, sha256: str) -> Mapping[str, Any]:
    """Return a table that votes were gathered with.

    Raises:
        ValueError: it is not there, or has been changed.
    """
    name = _name(sigma, sha256)
    stored = json_object(store, name, _REMEDY) if store.exists(name) else {}
    table = {key: value for key, value in stored.items() if key != CHANCES}
    if digest(table) != sha256:
        raise ValueError(
            f"Votes that were gathered sequentially need their table; "
            f"{store.url}/{name} is not there, or was changed. {_REMEDY}"
        )
    return table


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} looks up to {value[-1]:,} votes"
    return str(value)


def _name(sigma: float, sha256: str) -> str:
    return f"tables/{folder(sigma).removeprefix('votes/')}/{sha256[:16]}.json"
