import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from infra.object_store import open_store
from pipelines.decode import DecodeUnits
from pipelines.ledger import VOTES, vote_metadata
from pipelines.reading import reading_of
from pipelines.recipe import Run
from pipelines.set_aside import SetAside
from pipelines.stages import (
    CountStage,
    FusedStage,
    OpStage,
    SplitUnits,
    ops_of,
    vote_table,
)
from pipelines.units import Job, Unit, missing_jobs, nothing_voted
from pipelines.vote_rows import read_all_votes
from pipelines.vote_sink import unpacked
from pipelines.worker import WorkerSettings, load_weights

SettingsOf = Callable[[Run], WorkerSettings]
NAMES = ("image_key", "label", "stream", "block", "counts", "invalid", "image_sha256")


@pytest.fixture
def ragged(run_of: Callable[..., Run], tmp_path: Path) -> Callable[..., Run]:
    """Return what makes a run over four pictures of three shapes."""
    rng = np.random.default_rng(0)
    for label, size in enumerate(((8, 8), (8, 12), (12, 8), (8, 8))):
        folder = tmp_path / "pictures" / str(label)
        folder.mkdir(parents=True)
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"picture_{label}.png")
    settings = (
        f"data={{source: class_folders, path: {tmp_path / 'pictures'}}}",
        "classifier.kind=cifar_resnet",
        "classifier.weights={untrained: 0}",
        "classifier.depth=8",
        "classifier.shortcut=A",
        "classifier.input=imagenet",
    )
    return lambda *more: run_of(*settings, *more)


class Bench:
    """A run's stages in this process, over its first four images."""

    def __init__(self, run: Run, settings: WorkerSettings, aside: SetAside) -> None:
        self.run, self.settings, self.aside = run, settings, aside
        self.decode = DecodeUnits(run.data.source, run.data.preprocess, aside)

    def jobs(self) -> list[Job]:
        entries = self.run.data.source.entries()[:4]
        return list(
            missing_jobs(nothing_voted(entries, reading_of(self.run, 1).blocks))
        )

    def fused(self, *units: Unit) -> pa.Table:
        """Send units, or all as one, through the fused stage."""
        stage = FusedStage(self.run, self.settings, self.aside)
        units = units or (Unit(tuple(self.jobs())),)
        payloads = [self.decode({"unit": [pickle.dumps(unit)]}) for unit in units]
        rows = [row for payload in payloads for row in payload]
        votes = stage({"unit": [payload for row in rows for payload in row["unit"]]})
        return pa.concat_tables(unpacked(row["votes"][0]) for row in votes)

    def noisy(self) -> list[dict[str, Any]]:
        """Return what adding noise makes of the rows."""
        stage = OpStage(ops_of(self.run)[0], self.settings, self.aside)
        return [made for part in self.rows() for made in stage(part)]

    def rows(self) -> list[dict[str, Any]]:
        (payload,) = self.decode({"unit": [pickle.dumps(Unit(tuple(self.jobs())))]})
        return list(SplitUnits(self.run)(payload))

    def staged(self, order: Sequence[int] | None = None) -> pa.Table:
        """Send the rows through the stages in one batch, in the given order."""
        rows = [
            {name: column[row] for name, column in part.items()}
            for part in self.rows()
            for row in range(len(part["block"]))
        ]
        batch: Any = as_ray_does(rows if order is None else [rows[i] for i in order])
        *stages, count = ops_of(self.run)
        for op in stages:
            (batch,) = OpStage(op, self.settings, self.aside)(batch)
            assert set(op.writes) <= set(batch)
        (row,) = CountStage(count, self.settings, self.aside)(batch)
        return unpacked(row["votes"][0])


@pytest.fixture
def bench(
    settings_of: SettingsOf, aside_of: Callable[..., SetAside], tmp_path: Path
) -> Callable[[Run], Bench]:
    """Return what sets a run's stages up."""
    facts = vote_metadata({}, {}, "four")
    out = tmp_path / "out"
    return lambda run: Bench(run, settings_of(run), aside_of(run, out, facts))


def as_ray_does(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    columns = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if len({np.shape(value) for value in values}) == 1:
            columns[name] = np.array(values)
        else:
            columns[name] = np.empty(len(values), dtype=object)
            columns[name][:] = values
    return columns


def same(one: pa.Table, other: pa.Table) -> bool:
    order = [(name, "ascending") for name in ("image_key", "stream", "block")]
    tables = (t.select(NAMES).sort_by(order).to_pylist() for t in (one, other))
    return next(tables) == next(tables)


@pytest.mark.parametrize("noise", ["fixed", "fresh"])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_staged_plan_votes_as_the_fused_one(
    ragged: Callable[..., Run],
    bench: Callable[[Run], Bench],
    *,
    noise: str,
    mixed: bool,
) -> None:
    stages = bench(ragged(f"local.noise={noise}"))
    fused = stages.fused()
    order = np.arange(len(fused))
    if mixed:  # clean rows among noisy ones, images and shapes in any order
        order = np.random.default_rng(1).permutation(order)

    votes = stages.staged(order.tolist())

    assert same(votes, fused)
    assert votes.schema == fused.schema == VOTES
    assert min(votes["seconds"].to_pylist()) > 0


def test_every_copy_votes_once(
    run_of: Callable[..., Run], bench: Callable[[Run], Bench]
) -> None:
    votes = bench(run_of()).fused()

    copies = {"clean": 1, "select": 10, "estimate": 10}
    for row in votes.to_pylist():
        valid = sum(entry["count"] for entry in row["counts"])
        assert valid + row["invalid"] == copies[row["stream"]]
    assert len(votes) == 4 * 4
    assert votes["failure"].null_count == len(votes)


@pytest.mark.parametrize("batch", [3, 10, 64])
def test_votes_do_not_depend_on_how_units_and_batches_are_cut(
    run_of: Callable[..., Run], bench: Callable[[Run], Bench], batch: int
) -> None:
    stages = bench(run_of(f"batch={batch}"))
    units = [Unit((job,)) for job in reversed(stages.jobs())]

    assert same(stages.fused(*units), bench(run_of()).fused())


def test_another_seed_votes_on_other_noise(
    run_of: Callable[..., Run], bench: Callable[[Run], Bench]
) -> None:
    images = [bench(run_of(f"seed={seed}")).noisy()[1]["noisy"] for seed in (0, 1)]

    assert not np.isclose(images[0], images[1]).any(axis=(1, 2, 3, 4)).all()


def test_an_empty_unit_has_no_votes(
    run_of: Callable[..., Run], bench: Callable[[Run], Bench]
) -> None:
    assert len(bench(run_of()).fused(Unit(()))) == 0


@pytest.mark.parametrize("plan", ["fused", "staged"])
def test_an_image_that_is_condemned_gets_failed_blocks_and_the_others_votes(
    run_of: Callable[..., Run], bench: Callable[[Run], Bench], plan: str
) -> None:
    stages = bench(run_of())
    whole = stages.fused()
    deadly = whole["image_key"][0].as_py()
    for _ in range(4):  # its worker dies three times, and it is begun again
        stages.aside.attempts.tell("begin", "x", "fused", [deadly], "here", 1)

    votes = stages.fused() if plan == "fused" else stages.staged()

    kept = whole.filter([key.as_py() != deadly for key in whole["image_key"]])
    failed = read_all_votes(open_store(stages.aside.out), 0.25).rows
    assert same(votes, kept)
    assert set(failed["image_key"].to_pylist()) == {deadly}
    assert len(failed) == len(whole) - len(kept)
    assert sum(failed["invalid"].to_pylist()) == 31
    assert "died 3 times in stage fused" in failed["failure"][0].as_py()


def test_device_time_is_shared_out_by_copies() -> None:
    columns = {
        "sigma": np.array([0.5, 0.5]),
        "image_key": np.array(["a", "a"]),
        "label": np.array([1, 1]),
        "stream": np.array(["clean", "select"]),
        "block": np.array([0, 0]),
        "image_sha256": np.array(["aa", "aa"]),
        "counts": np.array([[0, 1, 0], [2, 0, 0]]),
        "invalid": np.array([0, 1]),
    }

    rows = vote_table(columns, 8.0, "{}").to_pylist()

    assert [row["seconds"] for row in rows] == [2.0, 6.0]
    assert [row["counts"] for row in rows] == [
        [{"class": 1, "count": 1}],
        [{"class": 0, "count": 2}],
    ]


def test_a_worker_refuses_weights_other_than_the_drivers(
    run_of: Callable[..., Run], bench: Callable[[Run], Bench], tmp_path: Path
) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "w.pt")
    weights = f"{{path: {tmp_path / 'w.pt'}, sha256: '1234'}}"

    with pytest.raises(ValueError, match=r"sha256 1234; .* Copy the driver's file"):
        bench(run_of(f"classifier.weights={weights}")).fused()
    with pytest.raises(ValueError, match="needs weights in a file"):
        load_weights(run_of().classifier.weights)
