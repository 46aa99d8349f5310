"""A pilot: votes of a few images, apart from those that certify, to plan a run by."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import ndtri

from infra.object_store import Store
from infra.sources.entry import Entry
from infra.tables import to_bytes
from pipelines.calls import calls
from pipelines.canonical import digest
from pipelines.identity import vote_identity
from pipelines.json_file import json_object
from pipelines.recipe import Run
from pipelines.sample import Sample
from pipelines.stages import ops_of, run_op, vote_table
from pipelines.units import Job, Unit
from pipelines.worker import WorkerSettings

STREAM = "pilot"
"""Noise of its own, so that no certificate rests on what a plan was made from."""

VOTES = 2_000
"""Of each image."""

NAME = "pilot.json"


@dataclass(frozen=True)
class Pilot:
    """What the votes of a few images tell of a run at one sigma."""

    sigma: float
    vote_identity_sha256: str
    num_votes: int
    """Of each image."""

    failures: tuple[int, ...]
    """Votes of each image that are not for the class most voted for."""

    right: tuple[bool, ...]
    """Whether that class is the label."""

    votes_per_second: float
    """Of one actor."""

    bytes_per_block: float
    """In a vote file."""

    device: str

    @property
    def failure_rate(self) -> np.ndarray:
        """Of each image, as Jeffreys' prior and its votes have it on average."""
        return (np.array(self.failures) + 0.5) / (self.num_votes + 1)

    def drawn(self, generator: np.random.Generator, times: int) -> np.ndarray:
        """Return failure rates that each image may have, given its votes.

        Args:
            generator: draws from Jeffreys' posterior.
            times: rates of each image; those of one image stand together.
        """
        failures = np.repeat(np.array(self.failures), times)
        return generator.beta(failures + 0.5, self.num_votes - failures + 0.5)

    def histogram(self) -> dict[str, int]:
        """Return how many images there are by radius in sigmas, in steps of a half."""
        z = -ndtri(self.failure_rate)
        edges = np.arange(0, 3.6, 0.5)
        counts = np.bincount(np.searchsorted(edges, z), minlength=len(edges) + 1)
        names = [f"{edge:g} to {edge + 0.5:g}" for edge in edges[:-1]]
        names = ["below 0", *names, "above"]
        return dict(zip(names, counts.tolist(), strict=True))


def cast_pilot(run: Run, sample: Sample, settings: WorkerSettings) -> Pilot:
    """Cast the votes of a pilot in this process.

    Args:
        run: with weights resolved.
        sample: its images.
        settings: of the actor that would cast votes.
    """
    votes, seconds = _votes(run, sample, settings)
    num_votes = _num_blocks(run) * run.sampling.block
    counts = np.zeros((len(sample.keys), run.classifier.num_classes), np.int64)
    rows = {key: row for row, key in enumerate(sample.keys)}
    for block in votes.select(["image_key", "counts"]).to_pylist():
        for entry in block["counts"]:
            counts[rows[block["image_key"]], entry["class"]] += entry["count"]
    told = json.loads(votes["conditions"][0].as_py())
    return Pilot(
        sigma=run.sigma,
        vote_identity_sha256=digest(vote_identity(run)),
        num_votes=num_votes,
        failures=tuple((num_votes - counts.max(axis=1)).tolist()),
        right=tuple((counts.argmax(axis=1) == np.array(sample.labels)).tolist()),
        votes_per_second=len(votes) * run.sampling.block / seconds,
        bytes_per_block=len(to_bytes(votes, {})) / len(votes),
        device=str(told["device"]),
    )


def stored_pilots(store: Store) -> dict[float, Pilot]:
    """Return the pilots that OUT holds, by sigma.

    Args:
        store: of OUT.
    """
    if not store.exists(NAME):
        return {}
    said = json_object(store, NAME, "Run the pilot again.")
    return {float(sigma): _pilot(facts) for sigma, facts in said.items()}


def store_pilots(store: Store, pilots: Mapping[float, Pilot]) -> None:
    """Put pilots into OUT, for plans to come.

    Args:
        store: of OUT.
        pilots: by sigma.
    """
    said = {
        repr(sigma): {**asdict(pilot), "images_by_z": pilot.histogram()}
        for sigma, pilot in pilots.items()
    }
    store.write(NAME, json.dumps(said, indent=1).encode())


def _pilot(facts: Mapping[str, Any]) -> Pilot:
    numbers = {name: facts[name] for name in Pilot.__dataclass_fields__}
    lists = {name: tuple(numbers[name]) for name in ("failures", "right")}
    return Pilot(**{**numbers, **lists})


def _num_blocks(run: Run) -> int:
    return -(-VOTES // run.sampling.block)


def _votes(
    run: Run, sample: Sample, settings: WorkerSettings
) -> tuple[pa.Table, float]:
    """Return the votes of all images as ledger rows, and the seconds they took."""
    worker, conditions = settings.open(), settings.conditions()
    functions = [op.open(worker) for op in ops_of(run)]
    images = dict(zip(sample.keys, sample.images, strict=True))
    pairs = zip(sample.keys, sample.labels, strict=True)
    entries = [Entry(key, label, None) for key, label in pairs]

    def cast(entries: Sequence[Entry], num_blocks: int) -> pa.Table:
        jobs = [Job(entry, STREAM, tuple(range(num_blocks))) for entry in entries]
        decoded = (Unit(tuple(jobs)), images, dict.fromkeys(images, ""))
        tables = []
        for columns in calls(decoded, run):
            for function in functions:
                columns = run_op(function, columns)
            counted = {n: columns[n].cpu().numpy() for n in ("counts", "invalid")}
            tables.append(vote_table({**columns, **counted}, 1.0, conditions))
        return pa.concat_tables(tables)

    cast(entries[:1], 1)  # warms up
    began = time.perf_counter()
    votes = cast(entries, _num_blocks(run))
    return votes, time.perf_counter() - began
