"""The real plan with stages that only wait: no images, no networks, no PyTorch.

Actors of the real stage would hold PyTorch, a few hundred MB each; here a hundred of
them fit a small machine. Units, gate, tracker, decode tasks and commits are the real
ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from synthetic_actor import BLOCK, SIGMA, ReadNothing, Wait

from infra.sources.entry import Entry
from pipelines import plans
from pipelines import work as works
from pipelines.allotment import Allotment
from pipelines.plans import cast_votes, tracker
from pipelines.target import VoteTarget
from pipelines.units import UNITS_PER_WAVE, Wave, nothing_voted
from pipelines.work import Work, waves_planned

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


@contextmanager
def stand_ins(reader: type = ReadNothing, actor: type = Wait) -> Iterator[None]:
    """Put stages that only wait in place of the real ones.

    Args:
        reader: in place of decoding.
        actor: in place of the four ops.
    """
    changed = {
        (plans, "DecodeUnits"): reader,
        (plans, "FusedStage"): actor,
        (plans, "worker_settings"): lambda *_: {},
        (works, "SetAside"): lambda **described: described["attempts"],
    }
    real = {place: getattr(*place) for place in changed}
    for place, stand_in in changed.items():
        setattr(*place, stand_in)
    try:
        yield
    finally:
        for place, own in real.items():
            setattr(*place, own)


def described(**more: Any) -> Any:
    """Return as much of a run as planner and plan read.

    Args:
        more: fields, in place of the usual ones or beside them.
    """
    fields = {
        "sigma": SIGMA,
        "plan": "fused",
        "precision": "float32",
        "batch": BLOCK,
        "compile": False,
        "sampling": SimpleNamespace(block=BLOCK),
        "rule": SimpleNamespace(kind="fixed"),
        "stages": SimpleNamespace(attempts=3),
        "data": SimpleNamespace(source=None, preprocess="none"),
        "ray": SimpleNamespace(no_progress_seconds=300),
        "seconds": 0.0,
        "spread": 0.0,
        "trace": "",
    }
    return SimpleNamespace(**(fields | more))


def cast(listed: Sequence[Wave], out: Path, allotment: Allotment, **run: Any) -> None:
    """Work off waves through the real plan, with the stages that only wait.

    Args:
        listed: waves.
        out: folder for the votes.
        allotment: of the stage.
        run: ``seconds`` of a unit, ``spread`` of them as a share, ``trace`` folder.
    """
    whole = described(**run)
    with (
        stand_ins(),
        tracker(whole, limit=LIMIT, num_actors=allotment.actors) as tell,
    ):
        work = Work(
            whole, LIMIT, str(out), VoteTarget(METADATA), tell, "waiting", whole.plan
        )
        stages = {"fused": allotment}
        cast_votes(work, waves_planned(work, listed, stages), stages)
