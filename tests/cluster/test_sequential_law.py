"""Votes of a base classifier whose chances are known, through Ray: who is certified."""

import math
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import synthetic_actor
import synthetic_rounds
from ray import cloudpickle
from rounds import run_of_rounds
from synthetic_actor import BLOCK, SIGMA
from synthetic_rounds import LABEL, DrawVotes, WaitPerVote, key_of
from synthetic_stages import METADATA, stand_ins

from infra.object_store import open_store
from infra.sources.entry import Entry
from ops.certify.sequential import Sequential
from pipelines.allotment import Allotment
from pipelines.certify_sequential import sequential_columns
from pipelines.plans import cast_votes, tracker
from pipelines.reading import Reading
from pipelines.rounds import ExpandRounds, Rounds
from pipelines.target import VoteTarget
from pipelines.vote_rows import read_all_votes
from pipelines.work import Planning, Work

pytestmark = pytest.mark.ray

ALPHA, NUM_IMAGES = 0.05, 400
STAGES = {"fused": Allotment(actors=2, gpus=0.0, cpus=0.5, num_threads=None)}


@pytest.fixture
def known_to_workers() -> Iterator[None]:
    """Send the stand-ins along, as workers do not find this folder's modules."""
    for module in (synthetic_actor, synthetic_rounds):
        cloudpickle.register_pickle_by_value(module)
    yield
    for module in (synthetic_actor, synthetic_rounds):
        cloudpickle.unregister_pickle_by_value(module)


def test_images_just_below_a_radius_get_it_no_more_often_than_promised(
    ray_cluster: None, known_to_workers: None, tmp_path: Path
) -> None:
    run = run_of_rounds(seconds_per_vote=0.0)
    table = Sequential(radii=(0.25,)).table(
        SIGMA, 500, block=BLOCK, failure_probability=ALPHA, step=0.25
    )
    reading = Reading(run, ALPHA, table)
    keys = [key_of(number, 0.25 / SIGMA) for number in range(NUM_IMAGES)]
    rounds = Rounds(
        entries=tuple(Entry(key, LABEL, None, "0" * 64) for key in keys),
        has_clean=np.ones(NUM_IMAGES, bool),
        groups=(),
        reading=reading,
        out=str(tmp_path),
        num_actors=2,
        unit_votes=10_000,
        most_units=10**6,
    )

    with (
        stand_ins(DrawVotes, WaitPerVote),
        tracker(run, limit=10_000, num_actors=2) as tell,
    ):
        work = Work(
            run, 10_000, str(tmp_path), VoteTarget(METADATA), tell, "law", run.plan
        )
        planning = Planning([{"rounds": pickle.dumps(rounds)}], ExpandRounds(tell))
        cast_votes(work, [planning], STAGES)

    votes = read_all_votes(open_store(tmp_path), SIGMA).rows
    found, whole, _ = sequential_columns(votes, dict.fromkeys(keys, LABEL), reading)
    assert whole.all()
    assert (found["guessed_class"] == LABEL).mean() > 0.99
    false = np.mean(found["radius"] >= 0.25)
    assert 0 < false <= ALPHA + 4 * math.sqrt(ALPHA / NUM_IMAGES)
