"""Votes made under another batch shape, compile mode or device, beside ours.

Kernels then differ in the last bits, and a vote that is nearly a tie may flip. Such
votes may be mixed, because each is a vote of the same classifier up to rounding; but it
is said, with the share that flips, and ``strict: true`` refuses it.
"""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import json
import logging
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from infra.sources.entry import Entry
from pipelines.ledger import VOTES, Ledger
from pipelines.recipe import Run
from pipelines.units import Job, Unit
from pipelines.worker import library_versions

logger = logging.getLogger(__name__)

BLOCKS_TRIED_AGAIN = 10
"""Stored blocks that are voted again to measure how many votes flip."""

NONE = "{}"
"""Conditions of a block that no network has seen."""


def other_conditions(ledger: Ledger, run: Run, *, use_gpu: bool) -> list[str]:
    """Return the conditions of stored votes that the run would not have now.

    Args:
        ledger: votes that exist.
        run: that would continue them.
        use_gpu: whether its networks get an accelerator; which one, workers know.
    """
    ours = {"batch": run.batch, "compile": run.compile, **library_versions()}

    def differs(stored: dict) -> bool:
        on_gpu = stored.get("device") != "cpu"
        return on_gpu != use_gpu or not ours.items() <= stored.items()

    return [c for c in stored_conditions(ledger) if differs(json.loads(c))]


def stored_conditions(ledger: Ledger) -> list[str]:
    """Return the different conditions of a ledger's votes, sorted."""
    return sorted(set(ledger.votes["conditions"].to_pylist()) - {NONE})


def refuse_if_strict(others: Sequence[str], run: Run, where: str) -> None:
    """Refuse to mix votes of different conditions where a run forbids it.

    Args:
        others: from :func:`other_conditions`.
        run: that would continue the votes.
        where: OUT, for the error.

    Raises:
        ValueError: the run is strict and votes were made under other conditions.
    """
    if run.strict and others:
        raise ValueError(
            f"certify needs votes of one batch shape, compile mode, device and "
            f"libraries under strict: true; {where} has votes made under "
            f"{', '.join(others)}, now it is batch {run.batch}, compile "
            f"{run.compile}. Set them back, or strict: false."
        )


def refuse_mixture_if_strict(ledger: Ledger, run: Run, where: str) -> None:
    """Refuse to certify from votes of several conditions where a run forbids it.

    Args:
        ledger: all votes of the run's sigma.
        run: that would certify.
        where: OUT, for the error.

    Raises:
        ValueError: the run is strict and the votes are mixed.
    """
    stored = stored_conditions(ledger)
    if run.strict and len(stored) > 1:
        raise ValueError(
            f"A strict run needs votes of one device, batch shape, compile mode and "
            f"libraries; {where} has {', '.join(stored)} at sigma {run.sigma:g}. Take "
            f"another --out, or strict: false."
        )


def unit_to_try_again(
    ledger: Ledger, others: Sequence[str], entries: Sequence[Entry]
) -> Unit | None:
    """Return some stored blocks of other conditions, to be voted once more.

    Args:
        ledger: votes that exist.
        others: from :func:`other_conditions`.
        entries: images asked for.

    Returns:
        ``None`` if all votes were made under the run's conditions.
    """
    listed = pa.array(others, pa.string())
    votes = ledger.votes.filter(pc.is_in(ledger.votes["conditions"], listed))
    by_key = {entry.key: entry for entry in entries}
    rows = votes.select(["image_key", "stream", "block"]).to_pylist()
    jobs = [
        Job(by_key[row["image_key"]], row["stream"], (row["block"],))
        for row in rows
        if row["image_key"] in by_key
    ]
    spread = jobs[:: max(1, len(jobs) // BLOCKS_TRIED_AGAIN)][:BLOCKS_TRIED_AGAIN]
    return Unit(tuple(spread)) if spread else None


def share_of_flips(stored: pa.Table, again: pa.Table) -> float:
    """Return the share of votes that differ between two casts of the same blocks.

    Args:
        stored: ledger rows that include the blocks.
        again: rows of the same blocks, voted under other conditions.

    Returns:
        At least this share flipped: half the sum of differences of the counts.
    """
    before = {_key(row): row for row in stored.select(VOTES.names).to_pylist()}
    flips, votes = 0.0, 0
    for row in again.to_pylist():
        ours, theirs = _counts(row), _counts(before[_key(row)])
        classes = ours.keys() | theirs.keys()
        flips += sum(abs(ours.get(c, 0) - theirs.get(c, 0)) for c in classes) / 2
        votes += sum(ours.values())
    return flips / votes


def _key(row: Mapping) -> tuple[str, str, int]:
    return row["image_key"], row["stream"], row["block"]


def _counts(row: Mapping) -> dict[int, int]:
    counts = {entry["class"]: entry["count"] for entry in row["counts"]}
    return {**counts, -1: row["invalid"]}
