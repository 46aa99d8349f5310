"""Blocks that are voted again, in this process, and what their equality proves."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa
import torch

from infra.images import decode
from infra.sources.content import digest
from infra.sources.entry import Entry
from ops.pixel_range import require_unit
from pipelines.block_sample import Row, sampled_blocks
from pipelines.calls import calls
from pipelines.check import Check, Status
from pipelines.conditions import share_of_flips
from pipelines.ledger import VOTES, num_votes
from pipelines.recipe import Run
from pipelines.recount import Recount
from pipelines.stages import ops_of, run_op, vote_table
from pipelines.units import Job, Unit
from pipelines.worker import WorkerSettings

CONFIDENCE = 0.95
"""With which a share of wrong blocks is ruled out."""

MOST_FLIPS = 0.01
"""Share of votes above which flips between conditions are worth a warning."""

TOO_MANY_FLIPS = 0.1
"""Share of votes above which other conditions are no explanation."""

_FEWEST_TO_TELL = 10
"""Votes that must have flipped for that: the copy without noise is a single one."""

_NAME = "votes cast again"
_BLOCKS_AT_ONCE = 64


def vote_again(recount: Recount, seed: str, num: int) -> tuple[Check, str]:
    """Vote a sample of blocks again and compare them with what is stored.

    Args:
        recount: of OUT.
        seed: what decides which blocks.
        num: how many, at most.

    Returns:
        What was found, and what it proves in a sentence.

    Raises:
        ValueError: images or weights are others than they were.
        OSError: images or weights are not to be had.
    """
    rows = sampled_blocks(recount, seed, num)
    equal, wrong, others, voted, flipped = 0, [], 0, 0, 0.0
    for run, same, part in _alike(recount, rows):
        stored = pa.Table.from_pylist(part, VOTES)
        again = pa.concat_tables(_cast(recount, run, part))
        if not same:
            others += len(part)
            votes = num_votes(stored, run.sampling.block)
            voted += votes
            flipped += votes * share_of_flips(stored, again)
            continue
        differing = _differing(stored, again)
        equal += len(part) - len(differing)
        wrong += differing
    check = _check(equal, wrong, others, _Flips(voted, flipped))
    return check, _proof(equal, wrong, others)


@dataclass(frozen=True)
class _Flips:
    """Votes cast again under other conditions, and how many are others at least."""

    voted: int
    flipped: float

    @property
    def share(self) -> float:
        return self.flipped / max(1, self.voted)

    @property
    def status(self) -> Status:
        if self.share <= MOST_FLIPS:
            return "pass"
        many = self.share > TOO_MANY_FLIPS and self.flipped >= _FEWEST_TO_TELL
        return "fail" if many else "warn"


def _alike(
    recount: Recount, rows: Sequence[Row]
) -> Iterator[tuple[Run, bool, list[Row]]]:
    """Yield rows of one run and condition, and whether this process has these too."""
    runs = {one.run.sigma: one.run for one in recount.found}

    def kind(row: Row) -> tuple[float, str]:
        return row["sigma"], row["conditions"]

    for (sigma, conditions), part in groupby(sorted(rows, key=kind), kind):
        told = json.loads(conditions)
        like = {name: told[name] for name in ("batch", "compile") if name in told}
        run = runs[sigma].model_copy(update=like)
        yield run, _settings(run, told).conditions() == conditions, list(part)


def _settings(run: Run, told: Mapping) -> WorkerSettings:
    use_gpu = told.get("device") != "cpu" and torch.cuda.is_available()
    return WorkerSettings(run.precision, run.batch, run.compile, use_gpu, None)


def _cast(recount: Recount, run: Run, rows: Sequence[Row]) -> Iterator[pa.Table]:
    """Yield the votes that the run's networks cast for some blocks now."""
    settings = _settings(run, json.loads(rows[0]["conditions"]))
    worker, conditions = settings.open(), settings.conditions()
    functions = [op.open(worker) for op in ops_of(run)]
    entries = _entries(run, {row["image_key"] for row in rows})
    for start in range(0, len(rows), _BLOCKS_AT_ONCE):
        part = rows[start : start + _BLOCKS_AT_ONCE]
        unit = Unit(
            tuple(
                Job(entries[row["image_key"]], row["stream"], (row["block"],))
                for row in part
            )
        )
        digests = {row["image_key"]: row["image_sha256"] for row in part}
        images = _images(run, unit.entries, digests)
        for columns in calls((unit, images, digests), run):
            for function in functions:
                columns = run_op(function, columns)
            counted = {n: columns[n].cpu().numpy() for n in ("counts", "invalid")}
            yield vote_table({**columns, **counted}, 0.0, conditions)


def _entries(run: Run, keys: set[str]) -> dict[str, Entry]:
    found = {e.key: e for e in run.data.source.entries() if e.key in keys}
    missing = sorted(keys - found.keys())
    if missing:
        raise ValueError(
            f"Votes are cast again on the images they were cast on; {missing[0]!r} is "
            f"not in {run.data.source.name}. Restore the data set."
        )
    return found


def _images(
    run: Run, entries: Sequence[Entry], digests: Mapping[str, str]
) -> dict[str, np.ndarray]:
    images = {}
    for entry, content in zip(entries, run.data.source.read(entries), strict=True):
        if digest(content) != digests[entry.key]:
            raise ValueError(
                f"Votes are cast again on the images they were cast on; "
                f"{entry.key!r} has sha256 {digest(content)[:12]}, they were cast on "
                f"{digests[entry.key][:12]}. Restore the image."
            )
        image = decode(content, run.data.preprocess, key=entry.key)
        require_unit(image, entry.key)
        images[entry.key] = image
    return images


def _differing(stored: pa.Table, again: pa.Table) -> list[str]:
    """Return the blocks whose votes are not the same now, in words."""
    now = {_key(row): _votes(row) for row in again.to_pylist()}
    return [
        f"block {row['block']} of {row['stream']} of {row['image_key']!r} at sigma "
        f"{row['sigma']:g}"
        for row in stored.to_pylist()
        if _votes(row) != now[_key(row)]
    ]


def _key(row: Row) -> tuple[str, str, int]:
    return row["image_key"], row["stream"], row["block"]


def _votes(row: Row) -> tuple[dict[int, int], int]:
    return {c["class"]: c["count"] for c in row["counts"]}, row["invalid"]


def _check(equal: int, wrong: Sequence[str], others: int, flips: _Flips) -> Check:
    if wrong:
        more = f" and {len(wrong) - 3:,} more" if len(wrong) > 3 else ""
        return Check(
            _NAME,
            "fail",
            f"{len(wrong):,} of {equal + len(wrong):,} differ: "
            f"{'; '.join(wrong[:3])}{more}",
            "Somebody changed votes, or the processor is of another kind than theirs.",
        )
    told = f"{equal:,} equal"
    if not others:
        return Check(_NAME, "pass", told)
    told += (
        f"; of {others:,} cast under conditions this process has not, at least "
        f"{100 * flips.share:.2g} % of the votes flip"
    )
    if flips.status == "pass":
        return Check(_NAME, "pass", told)
    remedy = "Verify on the device, batch and libraries the votes were cast under."
    if flips.status == "fail":
        told += ", more than any device moves"
    return Check(_NAME, flips.status, told, remedy)


def _proof(equal: int, wrong: Sequence[str], others: int) -> str:
    if wrong or not equal:
        return ""
    share = 1 - (1 - CONFIDENCE) ** (1 / equal)
    of_which = "the blocks cast under these conditions" if others else "the blocks"
    return (
        f"{equal:,} blocks voted again are equal: if a share p of {of_which} were "
        f"wrong, one would be found with probability 1 - (1 - p)^{equal}; so with "
        f"{100 * CONFIDENCE:g} % confidence fewer than {100 * share:.3g} % are wrong."
    )
