"""What a run will cost, before it is run: ``diffsmooth plan``."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infra import cluster
from infra.object_store import Store, open_store
from infra.sources.entry import Entry
from infra.subsets import select
from ops.certify.cascade import Cascade
from ops.certify.clopper_pearson import largest_radius
from ops.certify.sequential import Sequential
from ops.certify.simulated import simulated
from ops.vote.streams import num_copies
from pipelines.canonical import digest
from pipelines.identity import vote_identity
from pipelines.in_worker import in_worker
from pipelines.pilot import NAME, Pilot, cast_pilot, store_pilots, stored_pilots
from pipelines.prepare import require_known_labels
from pipelines.reading import Reading, reading_of
from pipelines.recipe import Recipe, Run, load_recipe
from pipelines.row_facts import RowFacts, facts_of
from pipelines.sample import Sample, decoded_sample
from pipelines.weights import resolve, training_recipes

logger = logging.getLogger(__name__)

_SIMULATED = 20_000
"""Images drawn from a pilot's posterior, about."""


@dataclass(frozen=True)
class Cost:
    """What one sigma costs under each rule, per image where nothing else is said."""

    run: Run
    num_images: int
    pilot: Pilot
    fixed_votes: float
    """Of one image under ``fixed``: N0, N and the copy without noise."""

    votes_by_radius: tuple[tuple[float, float], ...]
    """Radii of the sequential table in [0, 1] pixels, and the votes expected of one
    image if radii end there; the copy without noise is among them."""

    fixed_radius: float
    """That no image passes under ``fixed``."""

    preset: str

    @property
    def facts(self) -> RowFacts:
        """What the run's row says, with the calls that each noisy copy takes."""
        return facts_of(self.run)

    @property
    def sequential_votes(self) -> float:
        """Expected of one image under ``sequential``, all radii."""
        return self.votes_by_radius[-1][1]

    def hours(self, votes: float) -> float:
        """Return device-hours of one actor for all images.

        Args:
            votes: of one image.
        """
        return votes * self.num_images / self.pilot.votes_per_second / 3600

    def num_bytes(self, votes: float) -> float:
        """Return the size of all vote files.

        Args:
            votes: of one image.
        """
        blocks = votes / self.run.sampling.block
        return blocks * self.num_images * self.pilot.bytes_per_block


def plan(
    name: str, settings: Sequence[str], out: str | None, *, num_pilot: int
) -> list[Cost]:
    """Return what a run will cost at each sigma; it casts no vote that certifies.

    Args:
        name: packaged recipe or YAML file.
        settings: ``field=value`` each.
        out: where the run would write, and where pilots lie; ``None``: ``runs/NAME``.
        num_pilot: images of a pilot; 0 takes the pilot that OUT holds.

    Raises:
        ValueError: the recipe does not hold, or there is no pilot.
    """
    recipe = load_recipe(name, list(settings))
    if num_pilot < 0:
        raise ValueError(
            f"plan needs a number of images of at least 0; --pilot has {num_pilot}. "
            f"Take 50."
        )
    store = open_store(out or f"runs/{recipe.name}")
    data = recipe.runs[0].data
    entries = select(data.source.entries(), data.subset)
    require_known_labels(recipe, entries)
    if not num_pilot and not store.exists(NAME):
        raise _without_pilot(recipe.runs[0], store.url)
    if num_pilot or training_recipes(recipe):
        cluster.start(recipe.runs[0].ray.address)
    recipe = resolve(recipe)
    if num_pilot:
        _cast_pilots(recipe, store, entries, num_pilot)
    pilots = stored_pilots(store)
    return [
        _cost(run, _pilot_of(run, pilots, store.url), len(entries))
        for run in recipe.runs
    ]


def _cast_pilots(
    recipe: Recipe, store: Store, entries: Sequence[Entry], num_pilot: int
) -> None:
    spread = np.linspace(0, len(entries) - 1, min(num_pilot, len(entries))).round()
    chosen = [entries[row] for row in spread.astype(int).tolist()]
    data = recipe.runs[0].data
    sample, unreadable = decoded_sample(data, chosen, asked_by="plan")
    if unreadable:
        logger.warning("%d images of the pilot cannot be decoded.", len(unreadable))
    pilots = stored_pilots(store)
    for run in recipe.runs:
        pilots[run.sigma] = _cast(run, sample)
    store_pilots(store, pilots)


def _cast(run: Run, sample: Sample) -> Pilot:
    logger.info("sigma %g: a pilot of %d images.", run.sigma, len(sample.keys))
    return in_worker(cast_pilot, run, sample, asked_by="plan")


def _pilot_of(run: Run, pilots: dict[float, Pilot], where: str) -> Pilot:
    pilot = pilots.get(run.sigma)
    if pilot is None:
        raise _without_pilot(run, where)
    if pilot.vote_identity_sha256 != digest(vote_identity(run)):
        raise ValueError(
            f"plan needs a pilot of the run's own votes; that of {where} at sigma "
            f"{run.sigma:g} was cast by other networks or settings. Add --pilot 50."
        )
    return pilot


def _without_pilot(run: Run, where: str) -> ValueError:
    return ValueError(
        f"plan needs a pilot at sigma {run.sigma:g}; {where} has none. Add --pilot 50."
    )


def _cost(run: Run, pilot: Pilot, num_images: int) -> Cost:
    rule = run.rule if isinstance(run.rule, Sequential) else Sequential()
    shared = {"family_wise": run.rule.family_wise}
    cascade = isinstance(run.rule, Cascade)  # which reads what fixed would
    own = run.rule.model_dump() if cascade else {"kind": "fixed", **shared}
    fixed = _reading(run, own, num_images)
    sequential = _reading(run, {**rule.model_dump(), **shared}, num_images)
    return Cost(
        run=run,
        num_images=num_images,
        pilot=pilot,
        fixed_votes=float(_votes_of(fixed)),
        votes_by_radius=_votes_by_radius(sequential, pilot),
        fixed_radius=largest_radius(
            run.sigma, run.sampling.num_estimate, fixed.failure_probability
        ),
        preset=rule.preset,
    )


def _reading(run: Run, rule: dict, num_images: int) -> Reading:
    # What a plan may not do under one rule is no matter here.
    changed = Run.model_validate({**run.model_dump(), "rule": rule, "plan": "fused"})
    return reading_of(changed, num_images)


def _votes_of(reading: Reading) -> int:
    """Return the votes that one image gets at most."""
    block = reading.run.sampling.block
    return sum(n * num_copies(stream, block) for stream, n in reading.blocks.items())


def _votes_by_radius(reading: Reading, pilot: Pilot) -> tuple[tuple[float, float], ...]:
    """Return the votes expected of one image, if radii end at each of the table's."""
    table = reading.table
    assert table is not None  # of the sequential rule
    times = max(1, _SIMULATED // len(pilot.failures))
    rates = pilot.drawn(np.random.default_rng(0), times)
    right = np.repeat(np.array(pilot.right), times)
    found = []
    for number, radius in enumerate(table.radii.tolist(), start=1):
        generator = np.random.default_rng(1)  # the same votes for every radius
        drawn = simulated(rates, table.up_to(number), generator, right=right)
        found.append((radius, 1 + float(drawn.num_votes.mean())))
    return tuple(found)
