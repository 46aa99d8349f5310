"""The real plan with stages that only wait: no images, no networks, no PyTorch.

Actors of the real stage would hold PyTorch, a few hundred MB each; here a hundred of
them fit a small machine. Units, gate, tracker, decode tasks and commits are the real
ones.
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from synthetic_actor import Wait, never

from infra.sources.entry import Entry
from pipelines import plans
from pipelines.allotment import Allotment
from pipelines.attempts import Attempts
from pipelines.ledger import VOTES
from pipelines.plans import Work, cast_votes, tracker
from pipelines.set_aside import identity_row
from pipelines.units import UNITS_PER_WAVE, Unit, Wave, nothing_voted
from pipelines.vote_sink import packed

SIGMA = 0.25
BLOCK = 100
BLOCKS_PER_UNIT = 20
LIMIT = BLOCK * BLOCKS_PER_UNIT
"""Votes in a unit: one image of 20 blocks."""

METADATA = {"vote_identity": "{}", "recipe": "{}", "name": "waiting", "units": "{}"}


def entries(count: int) -> list[Entry]:
    """Return images that nobody reads."""
    return [Entry(f"image_{n:06d}", n % 10, n, f"{n:064x}") for n in range(count)]


def waves(count: int) -> list[Wave]:
    """Return waves of so many units, cut as those of a run."""
    whole = nothing_voted(entries(count), {"estimate": BLOCKS_PER_UNIT})
    return whole.parts(UNITS_PER_WAVE)


def votes_of(unit: Unit) -> pa.Table:
    """Return votes of a unit that nobody cast."""
    counts = [{"class": 3, "count": BLOCK}]
    rows = [
        {
            **identity_row(job, block, SIGMA, None),
            "counts": counts,
            "invalid": 0,
            "seconds": 1.0,
            "failure": None,
            "conditions": "{}",
        }
        for job in unit.jobs
        for block in job.blocks
    ]
    return pa.Table.from_pylist(rows, VOTES)


class ReadNothing:
    """In place of decoding: the unit's name, images and ready-made votes."""

    def __init__(self, source: None, run: SimpleNamespace, attempts: Attempts) -> None:
        del source, run
        self._attempts = attempts

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[bytes]]]:
        """Yield each unit with its votes."""
        for pickled in batch["unit"]:
            unit: Unit = pickle.loads(pickled)
            keys = [entry.key for entry in unit.entries]
            made = self._attempts.survived(
                f"decode/{unit.name}", keys, lambda _, u=unit: votes_of(u), never
            )
            votes = pa.concat_tables(list(made))
            yield {"unit": [pickle.dumps((unit.name, keys, packed(votes)))]}


@contextmanager
def stand_ins() -> Iterator[None]:
    """Put the stages that only wait in place of the real ones."""
    changed = {
        "DecodeUnits": ReadNothing,
        "FusedStage": Wait,
        "WorkerSettings": dict,
        "SetAside": lambda run, out, metadata, attempts: attempts,
    }
    real = {name: getattr(plans, name) for name in changed}
    vars(plans).update(changed)
    try:
        yield
    finally:
        vars(plans).update(real)


def cast(listed: Sequence[Wave], out: Path, allotment: Allotment, **run: Any) -> None:
    """Work off waves through the real plan, with the stages that only wait.

    Args:
        listed: waves.
        out: folder for the votes.
        allotment: of the stage.
        run: ``seconds`` of a unit, ``spread`` of them as a share, ``trace`` folder.
    """
    described: Any = SimpleNamespace(  # as much of a run as the plan reads
        sigma=SIGMA,
        plan="fused",
        precision="float32",
        batch=BLOCK,
        compile=False,
        sampling=SimpleNamespace(block=BLOCK),
        stages=SimpleNamespace(attempts=3),
        data=SimpleNamespace(source=None),
        ray=SimpleNamespace(no_progress_seconds=300),
        **{"seconds": 0.0, "spread": 0.0, "trace": "", **run},
    )
    with (
        stand_ins(),
        tracker(described, limit=LIMIT, num_actors=allotment.actors) as tell,
    ):
        work = Work(described, listed, LIMIT, str(out), METADATA, tell, "waiting")
        cast_votes(work, {"fused": allotment})
