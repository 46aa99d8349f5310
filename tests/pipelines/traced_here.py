"""Traces of some runs, cast in this process, without a cluster."""

from collections.abc import Callable, Sequence
from pathlib import Path

from infra.meters import Meters
from infra.object_store import open_store
from infra.subsets import select
from pipelines.attempts import Attempts, ToObject
from pipelines.decode import DecodeUnits
from pipelines.families import TraceTarget
from pipelines.reading import reading_of
from pipelines.recipe import Run
from pipelines.set_aside import SetAside
from pipelines.trace_ledger import TraceLedger
from pipelines.trace_plan import families_of
from pipelines.trace_stage import TraceStage
from pipelines.unit_tracker import UnitTracker
from pipelines.units import Wave, missing_jobs, plan_units
from pipelines.worker import WorkerSettings

NAME = "small"


def trace_here(
    runs: Sequence[Run],
    out: Path,
    settings_of: Callable[[Run], WorkerSettings],
    *,
    most_units: int | None = None,
) -> tuple[int, int]:
    """Cast what is missing; return noisy blocks purified and rows of traces."""
    run, store = runs[0], open_store(out)
    entries = select(run.data.source.entries(), run.data.subset)
    keys = [entry.key for entry in entries]
    readings = [reading_of(one, len(entries)) for one in runs]
    lacking = TraceLedger(store, families_of(readings, NAME)).lacking(keys)
    if lacking is None:
        return 0, 0
    target = TraceTarget(lacking.families)
    tracker = UnitTracker(3, 10**9, is_alive=lambda _: True)
    attempts = Attempts(ToObject(tracker), Meters("test", "traced", run.sigma))
    aside = SetAside(
        sigma=run.sigma,
        block=run.sampling.block,
        out=str(out),
        target=target,
        attempts=attempts,
    )
    decode = DecodeUnits(run.data.source, run.data.preprocess, aside)
    stage = TraceStage(run, settings_of(run), aside)
    wave = Wave(tuple(entries), lacking.present(keys))
    units = plan_units(
        missing_jobs(wave), block=run.sampling.block, limit=run.stages.unit_votes
    )
    blocks = num_rows = 0
    for number, unit in enumerate(units):
        if most_units is not None and number >= most_units:
            break
        rows = stage.votes(decode.decoded(unit))
        if len(rows):
            blocks += target.commit(store, rows, run.sampling.block).blocks
            num_rows += len(rows)
    return blocks, num_rows
