"""How the votes of one run become certificates: its rule, worked out for its images."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ops.certify.cascade import Cascade
from ops.certify.clopper_pearson import fewest_votes, largest_radius
from ops.certify.looks import Table
from ops.certify.sequential import Sequential
from ops.vote.streams import CLEAN
from pipelines.canonical import digest
from pipelines.recipe import Run

CHANCES = "crossing_probability"
"""In a stored table: exact chances of certifying radii that just do not hold."""


@dataclass(frozen=True)
class Reading:
    """A run's rule, with what it needs to know of the images."""

    run: Run

    failure_probability: float
    """Chance that the certificate of one image is wrong."""

    table: Table | None
    """What the sequential rule looks up; ``None`` under ``fixed`` and ``cascade``."""

    cascade_failure_probability: float | None = None
    """Chance that what a cascade says of one image is wrong, which its sigmas share;
    ``None`` under other rules."""

    @property
    def most_votes(self) -> int:
        """Votes that one certificate may rest on, at most."""
        if self.table is None:
            return self.run.sampling.num_estimate
        return int(self.table.looks[-1])

    @property
    def blocks(self) -> dict[str, int]:
        """Blocks of each stream that the certificates read, at most."""
        sampling = self.run.sampling
        estimate = {"estimate": self.most_votes // sampling.block}
        if self.table is not None:
            return {CLEAN: 1, **estimate}
        return {CLEAN: 1, "select": sampling.num_select // sampling.block, **estimate}

    @property
    def largest_radius(self) -> float:
        """Radius that no image can pass, an l2 distance in [0, 1] pixels."""
        if self.table is not None:
            return float(self.table.radii[-1])
        return largest_radius(self.run.sigma, self.most_votes, self.failure_probability)

    @property
    def name(self) -> str:
        """The rule as words."""
        rule = self.run.rule
        preset = f", {rule.preset}" if isinstance(rule, Sequential) else ""
        return f"{rule.kind}{preset}{', family-wise' if rule.family_wise else ''}"

    @property
    def numbers(self) -> dict[str, Any]:
        """What tells a claim that rests on votes from any other."""
        sampling = self.run.sampling
        found = {
            "num_estimate": sampling.num_estimate,
            "failure_probability": self.failure_probability,
            "rule": self.run.rule.model_dump(mode="json"),
        }
        if self.run.rule.family_wise:
            found["family_wise_failure_probability"] = sampling.failure_probability
        if self.cascade_failure_probability is not None:
            found["cascade_failure_probability"] = self.cascade_failure_probability
        if self.table is None:
            return {"num_select": sampling.num_select, **found}
        return {**found, "table_sha256": self.table_sha256}

    @cached_property
    def table_facts(self) -> dict[str, Any]:
        """The table as numbers that are the same on every machine: its identity."""
        assert self.table is not None  # who asks knows the rule
        table = self.table
        return {
            "sigma": self.run.sigma,
            "failure_probability": self.failure_probability,
            "block": self.run.sampling.block,
            "rule": self.run.rule.model_dump(mode="json"),
            "anytime": table.anytime,
            "give_up_on_label": table.on_label,
            "radii": table.radii.tolist(),
            "looks": table.looks.tolist(),
            "certify": table.certify.tolist(),
            "give_up": table.give_up.tolist(),
        }

    @property
    def table_json(self) -> bytes:
        """The table for who reads it without this program, with what follows from it.

        The last digits of a chance depend on the processor, hence four digits.
        """
        assert self.table is not None  # who asks knows the rule
        chances = [float(f"{one:.4g}") for one in self.table.crossing_probability]
        whole = {**self.table_facts, CHANCES: chances}
        return json.dumps(whole, indent=1).encode()

    @property
    def table_sha256(self) -> str | None:
        """SHA-256 of the table's facts; ``None`` under ``fixed``."""
        return None if self.table is None else digest(self.table_facts)


def reading_of(run: Run, num_images: int) -> Reading:
    """Work out a run's rule.

    Args:
        run: with sampling and rule.
        num_images: images asked for, who share the failure probability of a rule that
            is family-wise.

    Raises:
        ValueError: nothing could be certified.
    """
    sampling, rule = run.sampling, run.rule
    promised = sampling.failure_probability
    if rule.family_wise:
        promised /= max(1, num_images)
        _require_enough(run, promised)
    if isinstance(rule, Cascade):
        share = promised / len(rule.stages)
        _require_enough(run, share)
        return Reading(run, share, None, promised)
    if not isinstance(rule, Sequential):
        return Reading(run, promised, None)
    table = rule.table(
        run.sigma,
        sampling.num_estimate,
        block=sampling.block,
        failure_probability=promised,
        step=radius_step(run.data.source.name),
    )
    return Reading(run, promised, table)


def radius_step(dataset: str) -> float:
    """Return how far apart the radii of a data set's tables are, in [0, 1] pixels.

    Args:
        dataset: its name; ImageNet steps by 0.5, others by 0.25.
    """
    return 0.5 if dataset.lower().startswith("imagenet") else 0.25


def _require_enough(run: Run, promised: float) -> None:
    least = int(fewest_votes(np.zeros(1), failure_probability=promised)[0])
    if run.sampling.num_estimate < least:
        who = "rule.family_wise" if run.rule.family_wise else "rule cascade"
        what = "image and sigma" if isinstance(run.rule, Cascade) else "image"
        raise ValueError(
            f"{who} needs sampling.num_estimate >= {least} to certify "
            f"anything at failure probability {promised:g} per {what}; it has "
            f"{run.sampling.num_estimate}. Raise it."
        )
