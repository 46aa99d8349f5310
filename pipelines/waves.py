"""Units as they are needed: planned by a task, wave after wave, never all at once."""

import pickle
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.attempts import Tell
from pipelines.units import Wave, missing_jobs, plan_units

_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class ExpandWaves:
    """Waves in, their units out, no faster than they are worked off."""

    block: int
    """Copies in a block."""

    limit: int
    """Votes in a unit at most."""

    tell: Tell
    """Reaches the tracker, which knows how much is under way."""

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[bytes]]]:
        """Yield the units of each wave as rows, when there is room for them."""
        for number, pickled in zip(batch["number"], batch["wave"], strict=True):
            wave: Wave = pickle.loads(pickled)
            jobs = missing_jobs(wave)
            units = plan_units(jobs, block=self.block, limit=self.limit)
            for index, unit in enumerate(units):
                while not self.tell("may_emit", int(number), index, unit.num_blocks):
                    time.sleep(_PAUSE_SECONDS)
                yield {"unit": [pickle.dumps(unit)]}
