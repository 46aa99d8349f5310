"""What a trial does: it asks for votes, certifies from them, and reports."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
from ray import tune
from ray.exceptions import RayTaskError

from infra.object_store import open_store
from pipelines.curve import Curve
from pipelines.reading import Reading
from pipelines.trace_cells import Held, certify_traced
from tune.candidate import Candidate
from tune.caster import Asked
from tune.objective import Objective
from tune.records import write_certificates

IMAGES, VALUE = "images", "value"
"""What a trial reports: first images of the study, and its objective on them."""

FAILED = "failed"
"""Reported in place of a value, with the reason."""


@dataclass(frozen=True)
class Trying:
    """A trial as Ray Tune hands it on."""

    number: int
    candidate: Candidate
    copies: str
    """Key of the purified copies that it votes on."""

    others: tuple[Reading, ...] = ()
    """Of runs that the same pass serves, beside those of :attr:`Shared.together`."""


@dataclass(frozen=True)
class Shared:
    """What all trials of a study know."""

    out: str
    """OUT, which holds the votes."""

    own: str
    """Of the study's trials, inside OUT."""

    objective: Objective
    together: Mapping[str, tuple[Reading, ...]]
    """Of the runs that one pass serves, by their copies."""

    labels: tuple[tuple[str, int], ...]
    """Key and true class of the study's images, in their order."""

    rungs: tuple[int, ...]
    """After how many images a trial reports."""

    def place_of(self, copies: str) -> int:
        """Return a number for some purified copies: who votes on them asks one caster.

        Args:
            copies: their key.
        """
        known = sorted(self.together)
        return known.index(copies) if copies in known else int(copies, 16)


def try_out(config: Mapping[str, Any], shared: Shared, casters: Sequence[Any]) -> None:
    """Run one trial to its end; Ray Tune may end it after any report.

    Args:
        config: ``trying``, the trial.
        shared: what all trials know.
        casters: actors that cast.
    """
    trying: Trying = config["trying"]
    reading = trying.candidate.reading
    assert reading is not None  # who was refused is not tried
    store, own = open_store(shared.out), open_store(shared.own)
    began = time.monotonic()
    together = (reading, *trying.others, *shared.together.get(trying.copies, ()))
    caster = casters[shared.place_of(trying.copies) % len(casters)]
    searched = trying.candidate.choice.baseline is None
    for num_images in shared.rungs if searched else shared.rungs[-1:]:
        asked = Asked(reading, together, num_images)
        try:
            where: Held = ray.get(caster.cast.remote(asked))
        except RayTaskError as error:
            # The last line says what to do; the study goes on with other trials.
            reason = str(error.cause or error).strip().splitlines()[-1]
            tune.report({FAILED: reason, IMAGES: 0, VALUE: float("nan")})
            return
        labels = dict(shared.labels[:num_images])
        certificates = certify_traced(store, reading, where, labels)
        write_certificates(own, trying.number, certificates)
        curve = curve_of(trying.candidate, reading, certificates)
        value = shared.objective.score(curve).value
        seconds = time.monotonic() - began
        tune.report({IMAGES: num_images, VALUE: value, "seconds": seconds})


def curve_of(candidate: Candidate, reading: Reading, certificates: pa.Table) -> Curve:
    """Return the certificates of a candidate as reports draw them.

    Args:
        candidate: of a study.
        reading: of its run.
        certificates: of some of the study's images.
    """
    run = reading.run
    return Curve(
        run=candidate.setting.name,
        sigma=run.sigma,
        certificates=certificates,
        dataset=run.data.source.name,
        num_estimate=reading.most_votes,
        failure_probability=reading.failure_probability,
        rule=reading.name,
        radii=() if reading.table is None else tuple(reading.table.radii.tolist()),
        table_sha256=reading.table_sha256,
        seconds={},
    )
