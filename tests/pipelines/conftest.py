"""A small recipe, and its votes cast in this process, without a cluster."""

import copy
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image
from votes_made import FACTS, MORE, STREAMS, blocks_of_image

from infra.meters import Meters
from infra.object_store import Store, open_store
from infra.sources.entry import Entry
from infra.subsets import select
from pipelines.attempts import Attempts, ToObject
from pipelines.decode import DecodeUnits
from pipelines.identity import vote_identity
from pipelines.ledger import commit, vote_metadata
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import reading_of
from pipelines.recipe import Recipe, Run, build_recipe
from pipelines.recipe_file import apply_setting
from pipelines.set_aside import SetAside
from pipelines.stages import FusedStage
from pipelines.target import VoteTarget
from pipelines.unit_tracker import UnitTracker
from pipelines.units import Wave, missing_jobs, plan_units
from pipelines.worker import WorkerSettings

SMALL = {
    "data": {"source": "digits", "split": "test", "subset": "first:3"},
    "sigma": [0.25],
    "purifier": {"kind": "nothing"},
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 0}},
    "local": {"sigma": 0.12, "num": 3},
    "sampling": {
        "num_select": 10,
        "num_estimate": 20,
        "num_predict": 10,
        "block": 10,
    },
    "batch": 10,
    "stages": {"unit_votes": 30},
}


@pytest.fixture
def small() -> dict[str, Any]:
    """Return the mapping of a recipe of 3 digits, 3 noisy blocks each."""
    return copy.deepcopy(SMALL)


@pytest.fixture
def recipe_of(small: dict[str, Any]) -> Callable[..., Recipe]:
    """Return what makes the small recipe with some settings."""

    def make(*settings: str) -> Recipe:
        raw = copy.deepcopy(small)
        for setting in settings:
            apply_setting(raw, setting)
        return build_recipe(raw, "small")

    return make


@pytest.fixture
def run_of(recipe_of: Callable[..., Recipe]) -> Callable[..., Run]:
    """Return what makes the first run of the small recipe with some settings."""
    return lambda *settings: recipe_of(*settings).runs[0]


@pytest.fixture
def written(small: dict[str, Any], tmp_path: Path) -> str:
    """Return the path of the small recipe as a file."""
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small))
    return str(path)


@pytest.fixture
def settings_of() -> Callable[[Run], WorkerSettings]:
    """Return what makes a worker's settings from a run, for the CPU."""
    return worker_settings


@pytest.fixture
def cast() -> Callable[..., None]:
    """Return what casts the votes a run misses, unit by unit, in this process."""
    return cast_here


def worker_settings(run: Run) -> WorkerSettings:
    return WorkerSettings(
        precision=run.precision,
        batch=run.batch,
        compiled=False,
        use_gpu=False,
        num_threads=None,
    )


def set_aside(run: Run, out: Path, metadata: Mapping[str, str]) -> SetAside:
    """Return what a stage of this process sets images aside with."""
    tracker = UnitTracker(run.stages.attempts, 10**9, is_alive=lambda _: True)
    attempts = Attempts(ToObject(tracker), Meters("test", "fused", run.sigma))
    return SetAside(
        sigma=run.sigma,
        block=run.sampling.block,
        out=str(out),
        target=VoteTarget(metadata),
        attempts=attempts,
    )


@pytest.fixture
def aside_of() -> Callable[..., SetAside]:
    """Return what makes a stage's way of setting images aside: of a run, into OUT."""
    return set_aside


def cast_here(
    run: Run, out: Path, blocks: Mapping[str, int] | None = None
) -> list[Entry]:
    store = open_store(out)
    entries = select(run.data.source.entries(), run.data.subset)
    index, keys = LedgerIndex(store, run.sigma), [entry.key for entry in entries]
    wanted = blocks or reading_of(run, 1).blocks
    present = {s: index.present(keys, s, num) for s, num in wanted.items()}
    wave = Wave(tuple(entries), present)
    units = plan_units(
        missing_jobs(wave), block=run.sampling.block, limit=run.stages.unit_votes
    )
    metadata = vote_metadata(vote_identity(run), run.model_dump(mode="json"), "small")
    aside = set_aside(run, out, metadata)
    decode = DecodeUnits(run.data.source, run.data.preprocess, aside)
    stage = FusedStage(run, worker_settings(run), aside)
    for unit in units:
        votes = stage.votes(decode.decoded(unit))
        if len(votes):
            commit(store, votes, metadata)
    return entries


@pytest.fixture
def vote_table() -> Callable[..., pa.Table]:
    """Return what makes ledger rows of some blocks of one image, 10 copies each."""
    return blocks_of_image


@pytest.fixture
def scattered(tmp_path: Path) -> Store:
    """Return an OUT of many files with duplicates, some of which differ."""
    store = open_store(tmp_path)
    rng = np.random.default_rng(1)
    for _ in range(40):
        blocks = rng.choice(12, int(rng.integers(1, 6)), replace=False).tolist()
        votes = blocks_of_image(
            *blocks,
            image=str(rng.choice(list("abcdefg"))),
            stream=str(rng.choice(STREAMS)),
            count=int(rng.integers(7, 9)),
            conditions=str(rng.choice(['{"batch": 1}', '{"batch": 2}'])),
        )
        commit(store, votes, FACTS if rng.integers(2) else MORE)
    return store


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Return class folders 0, 1 and 3 with four images, one of them broken."""
    black, grey = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (5, 3)).save(black, "PNG")
    Image.new("RGB", (8, 8), (9, 9, 9)).save(grey, "PNG")
    contents = {
        "0/a": black.getvalue(),
        "1/b": grey.getvalue(),
        "1/c": b"broken",
        "3/d": black.getvalue(),
    }
    for name, content in contents.items():
        path = tmp_path / "set" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "set"
