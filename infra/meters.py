"""What stage workers count for whoever watches the cluster, through Ray's metrics."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.util.metrics import Counter, Histogram

TAGS = ("run", "stage", "sigma")
"""Labels of every meter."""

COUNTERS = {
    "votes": "Noisy copies that have voted, for a class or for none.",
    "images": "Images in the calls of a stage; one of several units counts in each.",
    "retries": "Calls that were made again after a failure.",
    "quarantined": "Blocks set aside because their image could not be served.",
}
"""Counters by name, without the ``diffsmooth_`` before it, and what each counts."""

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Upper bounds of the histogram of a call's time."""


@dataclass(frozen=True)
class Meters:
    """The meters of one stage of one run in this process; picklable.

    Numbers are for watching only: they begin at 0 in every worker, a killed one takes
    with it what it had not reported, and a call that Ray repeats counts twice. What was
    done is in the votes. Where no Ray is connected, Ray itself drops what is counted.
    """

    run: str
    """What to call the run."""

    stage: str
    """What to call the stage."""

    sigma: float
    """Std of the certified noise, in [0, 1] pixels."""

    def count(self, name: str, number: int) -> None:
        """Add to a counter.

        Args:
            name: one of :data:`COUNTERS`.
            number: at least 0.

        Raises:
            KeyError: there is no such counter.
        """
        counter = _counters()[name]
        if number:  # Ray refuses to add nothing
            counter.inc(int(number), tags=self._tags)

    def observe_seconds(self, seconds: float) -> None:
        """Note how long one call of the stage took.

        Args:
            seconds: wall time.
        """
        _stage_seconds().observe(float(seconds), tags=self._tags)

    @cached_property
    def _tags(self) -> dict[str, str]:
        values = (self.run, self.stage, f"{self.sigma:g}")
        return dict(zip(TAGS, values, strict=True))


@lru_cache(maxsize=1)
def _counters() -> "dict[str, Counter]":
    from ray.util.metrics import Counter

    return {
        name: Counter(f"diffsmooth_{name}", description=what, tag_keys=TAGS)
        for name, what in COUNTERS.items()
    }


@lru_cache(maxsize=1)
def _stage_seconds() -> "Histogram":
    from ray.util.metrics import Histogram

    return Histogram(
        "diffsmooth_stage_seconds",
        description="Wall time of one call of a stage, in seconds.",
        boundaries=list(SECONDS),
        tag_keys=TAGS,
    )
