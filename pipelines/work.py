"""What is to be cast, and how executions of it are planned."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.meters import Meters
from pipelines.allotment import Allotment
from pipelines.attempts import Attempts, ToActor
from pipelines.recipe import Run
from pipelines.set_aside import SetAside
from pipelines.target import Target
from pipelines.units import UNITS_PER_WAVE, Wave
from pipelines.waves import ExpandWaves

_UNITS_PER_EXECUTION = 20_000
_UNITS_PER_ACTOR = 500
"""An execution keeps about 20 KB in the driver for each unit that passed through."""


@dataclass(frozen=True)
class Work:
    """Whose votes are cast, and where they go."""

    run: Run
    limit: int
    """Votes in a unit at most."""

    out: str
    target: Target
    """Commits them."""

    tell: ToActor
    """Reaches the tracker."""

    run_id: str
    """In logs and metrics."""

    plan: str
    """Key of :data:`pipelines.plans.PLANS`."""

    def attempts(self, stage: str) -> Attempts:
        """Return a stage's side of the tracker."""
        return Attempts(self.tell, Meters(self.run_id, stage, self.run.sigma))

    def aside(self, stage: str) -> SetAside:
        """Return what sets images aside in one stage."""
        return SetAside(
            sigma=self.run.sigma,
            block=self.run.sampling.block,
            out=self.out,
            target=self.target,
            attempts=self.attempts(stage),
        )


@dataclass(frozen=True)
class Planning:
    """What one execution works off, and how it is made units of."""

    rows: Sequence[Mapping[str, Any]]
    """One for each call of ``expand``, in order."""

    expand: Any
    """Rows in, their units out."""


def units_at_once(stages: Mapping[str, Allotment]) -> int:
    """Return about how many units one execution is given.

    Args:
        stages: what each stage gets, from :func:`pipelines.allotment.allot`.
    """
    actors = max(stage.actors for stage in stages.values())
    return max(_UNITS_PER_EXECUTION, _UNITS_PER_ACTOR * actors)


def waves_planned(
    work: Work, waves: Sequence[Wave], stages: Mapping[str, Allotment]
) -> list[Planning]:
    """Return executions that work off some waves.

    Args:
        work: run and OUT.
        waves: of which some blocks are missing.
        stages: what each stage gets, from :func:`pipelines.allotment.allot`.
    """
    expand = ExpandWaves(work.run.sampling.block, work.limit, work.tell)
    rows = [{"number": n, "wave": pickle.dumps(wave)} for n, wave in enumerate(waves)]
    at_once = units_at_once(stages) // UNITS_PER_WAVE
    starts = range(0, len(rows), at_once)
    return [Planning(rows[start : start + at_once], expand) for start in starts]
