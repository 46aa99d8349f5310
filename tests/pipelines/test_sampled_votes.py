"""However many images a purifier samples of a copy, the ledger holds one vote of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from traced_here import trace_here

from infra.object_store import open_store
from ops.vote.streams import num_copies
from pipelines.certificates import certify_votes
from pipelines.reading import reading_of
from pipelines.recipe import Run
from pipelines.trace_cells import certify_traced, held
from pipelines.trace_ledger import TraceLedger
from pipelines.trace_plan import families_of
from pipelines.vote_rows import read_all_votes

SAMPLES = 3
BLOCK = 10
PURIFIER = """purifier={
  kind: reverse_chain, steps: 2, samples: 3, variance: fixed_large,
  weights: {untrained: 0},
  scheduler: {_class_name: DDPMScheduler, beta_schedule: squaredcos_cap_v2,
    num_train_timesteps: 1000, prediction_type: epsilon},
  unet: {sample_size: 8, in_channels: 1, out_channels: 1, block_out_channels: [8],
    layers_per_block: 1, down_block_types: [DownBlock2D],
    up_block_types: [UpBlock2D], norm_num_groups: 4, add_attention: false}}"""


@pytest.fixture
def sampled(run_of: Callable[..., Run]) -> Run:
    run = run_of(PURIFIER)
    assert run.purifier.samples_per_copy == SAMPLES
    return run


def num_votes(rows: pa.Table) -> list[int]:
    counted = zip(rows["counts"].to_pylist(), rows["invalid"].to_pylist(), strict=True)
    return [sum(one["count"] for one in counts) + lost for counts, lost in counted]


def test_a_block_holds_one_vote_of_each_copy(
    sampled: Run, cast: Callable[..., Any], tmp_path: Path
) -> None:
    cast(sampled, tmp_path)
    rows = read_all_votes(open_store(tmp_path), sampled.sigma).rows

    streams = rows["stream"].to_pylist()
    assert num_votes(rows) == [num_copies(stream, BLOCK) for stream in streams]


def test_a_study_reads_the_votes_that_a_run_casts(
    sampled: Run,
    cast: Callable[..., Any],
    settings_of: Callable[..., Any],
    tmp_path: Path,
) -> None:
    entries = cast(sampled, tmp_path / "run")
    labels = {entry.key: entry.label for entry in entries}
    reading = reading_of(sampled, len(entries))
    votes = read_all_votes(open_store(tmp_path / "run"), sampled.sigma).rows
    trace_here([sampled], tmp_path / "study", settings_of)
    store = open_store(tmp_path / "study")
    (family,) = families_of([reading], "small")
    traced = held(TraceLedger(store, [family]), family, list(labels))

    found = certify_traced(store, reading, traced, labels)

    assert found.equals(certify_votes(votes, labels, reading))
