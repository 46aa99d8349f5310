"""Which traces some runs need that differ in their local noises and numbers alone."""

from collections.abc import Mapping, Sequence

from pipelines.canonical import canonical, digest
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
        readings: of runs of one sigma that differ in ``local``, N and rule alone.
        name: of the recipe, for the facts of files.

    Returns:
        Families of which no two want the same block under the same local noises.
    """
    by_noise: dict[str, dict[int, Reading]] = {}
    blocks: dict[str, dict[int, Blocks]] = {}
    for reading in readings:
        local = reading.run.local
        noise = canonical(local.model_dump(mode="json", exclude={"num"}))
        by_noise.setdefault(noise, {}).setdefault(local.num, reading)
        own = blocks.setdefault(noise, {})
        own[local.num] = _larger(own.get(local.num, {}), reading.blocks)
    return [
        _family(by_noise[noise][num].run, ranges, name)
        for noise, own in blocks.items()
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


def _family(run: Run, ranges: Mapping[str, Range], name: str) -> Family:
    return Family(
        folder=trace_folder(run),
        local=run.local.model_dump(mode="json"),
        blocks=ranges,
        facts=vote_facts(run, name),
    )


def trace_folder(run: Run) -> str:
    """Return the folder of the traces that hold a run's votes, if no larger ones do.

    Args:
        run: with weights resolved.
    """
    identity = vote_identity(run)
    local = {k: v for k, v in identity["local"].items() if k != "num"}
    short = digest({**identity, "local": local})[:16]
    return folder_of(f"traces/sigma_{run.sigma:g}/{short}", run.local.num)
