"""Which traces some runs need that vote on the same purified copies."""

from collections.abc import Mapping, Sequence

from pipelines.canonical import digest
from pipelines.families import Family, Range
from pipelines.identity import vote_facts, vote_identity
from pipelines.reading import Reading
from pipelines.recipe import Run
from pipelines.trace_ledger import folder_of

Blocks = Mapping[str, int]
"""Number of blocks by stream."""


def families_of(readings: Sequence[Reading], name: str) -> list[Family]:
    """Return the families whose traces give the votes of some runs.

    A block is traced up to the largest number of local noises that a run needs there:
    of runs that cost the same, those with more local noises have fewer copies.

    Args:
        readings: of runs of one sigma that differ in ``classifier``, ``local``, N and
            rule alone.
        name: of the recipe, for the facts of files.

    Returns:
        Families of which no two want the same block for the same classifier and local
        noises.
    """
    runs: dict[str, dict[int, Run]] = {}
    blocks: dict[str, dict[int, Blocks]] = {}
    for reading in readings:
        run, num = reading.run, reading.run.local.num
        above = above_of(run)
        runs.setdefault(above, {}).setdefault(num, run)
        own = blocks.setdefault(above, {})
        own[num] = _larger(own.get(num, {}), reading.blocks)
    return [
        _family(runs[above][num], folder_of(above, num), ranges, name)
        for above, own in blocks.items()
        for num, ranges in _levels(own).items()
    ]


def _larger(one: Blocks, other: Blocks) -> Blocks:
    streams = {**one, **other}
    return {s: max(one.get(s, 0), other.get(s, 0)) for s in streams}


def _levels(blocks: Mapping[int, Blocks]) -> dict[int, dict[str, Range]]:
    """Return what each number of local noises is traced up to, beyond larger ones."""
    levels: dict[int, dict[str, Range]] = {}
    covered: dict[str, int] = {}
    for num in sorted(blocks, reverse=True):
        for stream, end in blocks[num].items():
            first = covered.get(stream, 0)
            if end > first:
                levels.setdefault(num, {})[stream] = (first, end)
                covered[stream] = end
    return levels


def _family(run: Run, folder: str, ranges: Mapping[str, Range], name: str) -> Family:
    return Family(
        folder=folder,
        local=run.local.model_dump(mode="json"),
        classifier=run.classifier.model_dump(mode="json"),
        blocks=ranges,
        facts=vote_facts(run, name),
    )


def above_of(run: Run) -> str:
    """Return the folder of the traces of a run, of all numbers of local noises.

    Args:
        run: with weights resolved.
    """
    identity = vote_identity(run)
    local = {k: v for k, v in identity["local"].items() if k != "num"}
    short = digest({**identity, "local": local})[:16]
    return f"traces/sigma_{run.sigma:g}/{short}"
