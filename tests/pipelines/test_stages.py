import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from pipelines.certificates import blocks_of
from pipelines.decode import DecodeUnits
from pipelines.ledger import VOTES, num_votes
from pipelines.recipe import Run
from pipelines.stages import (
    CountStage,
    FusedStage,
    OpStage,
    SplitUnits,
    ops_of,
    vote_table,
)
from pipelines.units import Unit, missing_jobs
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


def payload(run: Run, tmp_path: Path) -> bytes:
    entries = run.data.source.entries()[:4]
    unit = Unit(tuple(missing_jobs(entries, blocks_of(run), set())))
    decode = DecodeUnits(run.data.source, run, str(tmp_path / "out"), {})
    return decode({"unit": [pickle.dumps(unit)]})["unit"][0]


def staged(
    run: Run, settings: WorkerSettings, unit: bytes, order: Sequence[int]
) -> Any:
    """Send a unit through the stages, its rows in one batch of the given order."""
    rows = [
        {name: column[row] for name, column in part.items()}
        for part in SplitUnits(run)({"unit": [unit]})
        for row in range(len(part["block"]))
    ]
    batch: Any = as_ray_does([rows[index] for index in order])
    *stages, count = ops_of(run)
    for op in stages:
        batch = OpStage(op, settings)(batch)
        assert set(op.writes) <= set(batch)
    return CountStage(count, settings)(batch)


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
    settings_of: SettingsOf,
    tmp_path: Path,
    *,
    noise: str,
    mixed: bool,
) -> None:
    run = ragged(f"local.noise={noise}")
    unit = payload(run, tmp_path)
    fused = FusedStage(run, settings_of(run))({"unit": [unit]})
    order = np.arange(len(fused))
    if mixed:  # clean rows among noisy ones, images and shapes in any order
        order = np.random.default_rng(1).permutation(order)

    votes = staged(run, settings_of(run), unit, order.tolist())

    assert same(votes, fused)
    assert votes.schema == fused.schema == VOTES
    assert min(votes["seconds"].to_pylist()) > 0


def test_every_copy_votes_once(
    run_of: Callable[..., Run], settings_of: SettingsOf, tmp_path: Path
) -> None:
    run = run_of()

    votes = FusedStage(run, settings_of(run))({"unit": [payload(run, tmp_path)]})

    assert num_votes(votes) == 4 * 31
    assert num_votes(votes, "clean") == 4
    assert votes["failure"].null_count == len(votes)


@pytest.mark.parametrize("batch", [3, 10, 64])
def test_votes_do_not_depend_on_how_units_and_batches_are_cut(
    run_of: Callable[..., Run], settings_of: SettingsOf, tmp_path: Path, batch: int
) -> None:
    run = run_of(f"batch={batch}")
    whole = FusedStage(run_of(), settings_of(run_of()))
    together = whole({"unit": [payload(run_of(), tmp_path)]})
    entries = run.data.source.entries()[:4]
    jobs = missing_jobs(entries, blocks_of(run), set())
    decode = DecodeUnits(run.data.source, run, str(tmp_path), {})
    units = [pickle.dumps(Unit((job,))) for job in reversed(jobs)]

    alone = FusedStage(run, settings_of(run))(decode({"unit": units}))

    assert same(alone, together)


def test_another_seed_votes_on_other_noise(
    run_of: Callable[..., Run], settings_of: SettingsOf, tmp_path: Path
) -> None:
    images = []
    for seed in (0, 1):
        run = run_of(f"seed={seed}")
        add_noise = OpStage(ops_of(run)[0], settings_of(run))
        parts = list(SplitUnits(run)({"unit": [payload(run, tmp_path)]}))
        images.append(add_noise(parts[1])["noisy"])  # type: ignore[index]

    assert not np.isclose(images[0], images[1]).any(axis=(1, 2, 3, 4)).all()


def test_an_empty_unit_has_no_votes(
    run_of: Callable[..., Run], settings_of: SettingsOf
) -> None:
    nothing = pickle.dumps((Unit(()), {}, {}))

    assert len(FusedStage(run_of(), settings_of(run_of()))({"unit": [nothing]})) == 0


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
    run_of: Callable[..., Run], settings_of: SettingsOf, tmp_path: Path
) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "w.pt")
    weights = f"{{path: {tmp_path / 'w.pt'}, sha256: '1234'}}"
    run = run_of(f"classifier.weights={weights}")

    with pytest.raises(ValueError, match=r"sha256 1234; .* Copy the driver's file"):
        FusedStage(run, settings_of(run))
    with pytest.raises(ValueError, match="needs weights in a file"):
        load_weights(run_of().classifier.weights)
