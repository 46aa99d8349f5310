"""Whatever is read off traces is what a run of its own would have written."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from traced_here import NAME, trace_here

from infra.object_store import Store, open_store
from pipelines.certificates import certify_votes
from pipelines.ledger import VOTES
from pipelines.reading import Reading, reading_of
from pipelines.recipe import Recipe, Run
from pipelines.trace_cells import Held, certify_traced, held, votes_held
from pipelines.trace_ledger import TraceLedger
from pipelines.trace_plan import families_of
from pipelines.vote_rows import read_all_votes

CELLS = {
    "wide": ("local.sigma=0.4", "local.num=2", "sampling.num_estimate=60"),
    "many": ("local.sigma=0.4", "local.num=7", "sampling.num_estimate=20"),
    "fresh": ("local.noise=fresh", "local.num=3", "sampling.num_estimate=40"),
    "none": ("local.sigma=0", "local.num=1", "sampling.num_estimate=80"),
    "early": ("local.sigma=0.4", "local.num=1", "sampling.num_estimate=50"),
    "seeded": ("local.sigma=0.4", "local.seed=1", "local.num=2"),
}
Recipes = Callable[..., Recipe]


@pytest.fixture
def cells(recipe_of: Recipes) -> dict[str, Run]:
    """Return the runs of all cells by name."""
    return {
        name: recipe_of("noise=lattice", *settings).runs[0]
        for name, settings in CELLS.items()
    }


def labels_of(rows: pa.Table) -> dict[str, int]:
    pairs = (rows[name].to_pylist() for name in ("image_key", "label"))
    return dict(zip(*pairs, strict=True))


def where(store: Store, reading: Reading, keys: Iterable[str]) -> Held:
    (family,) = families_of([reading], NAME)
    return held(TraceLedger(store, [family]), family, list(keys))


def certified(store: Store, reading: Reading, labels: dict[str, int]) -> pa.Table:
    return certify_traced(store, reading, where(store, reading, labels), labels)


def votes_of(rows: pa.Table) -> pa.Table:
    names = [n for n in VOTES.names if n not in ("seconds", "conditions")]
    order = [(n, "ascending") for n in ("image_key", "stream", "block")]
    return rows.select(names).sort_by(order).combine_chunks()


def test_each_cell_has_the_votes_and_certificates_of_a_run_of_its_own(
    cells: dict[str, Run],
    cast: Callable[..., Any],
    settings_of: Callable[..., Any],
    tmp_path: Path,
) -> None:
    together = tmp_path / "together"
    trace_here(list(cells.values()), together, settings_of)

    seen = set()
    for name, run in cells.items():
        cast(run, tmp_path / name)
        alone = read_all_votes(open_store(tmp_path / name), run.sigma).rows
        labels, reading = labels_of(alone), reading_of(run, 3)
        store = open_store(together)
        keys = sorted(labels)
        found = votes_held(store, reading, where(store, reading, keys), keys)

        assert votes_of(found).equals(votes_of(alone)), name
        certificates = certified(store, reading, labels)
        assert certificates.equals(certify_votes(alone, labels, reading))
        seen.add(str(certificates["counts"].to_pylist()))
    assert len(seen) == len(cells)


def test_a_run_that_stops_by_itself_is_read_off_traces_too(
    recipe_of: Recipes,
    cast: Callable[..., Any],
    settings_of: Callable[..., Any],
    tmp_path: Path,
) -> None:
    rule = ("rule.kind=sequential", "sampling.num_estimate=400", "data.subset=first:3")
    one = recipe_of(*rule, "local.num=2").runs[0]
    trace_here([one, recipe_of("local.num=5").runs[0]], tmp_path / "all", settings_of)
    cast(one, tmp_path / "alone")
    alone = read_all_votes(open_store(tmp_path / "alone"), one.sigma).rows
    labels, reading = labels_of(alone), reading_of(one, 3)

    found = certified(open_store(tmp_path / "all"), reading, labels)

    assert found.equals(certify_votes(alone, labels, reading))
    assert set(found["stopped"].to_pylist()) - {None}
    assert found["num_draws"].to_pylist() != [reading.most_votes] * 3


def test_a_copy_is_purified_once_and_blocks_that_one_cell_reads_are_traced_for_it_alone(
    cells: dict[str, Run], settings_of: Callable[..., Any], tmp_path: Path
) -> None:
    blocks, rows = trace_here(list(cells.values()), tmp_path, settings_of)

    # Of each of 3 images: no noise, 1 block to select, 8 to estimate.
    assert blocks == 3 * (1 + 1 + 8)
    # Under sigma' 0.4: 4 blocks up to m = 7, 4 more up to 2; and those of the others.
    assert rows == 3 * ((2 + 2) + 4 + (2 + 4) + (2 + 8) + (2 + 2))


def test_what_is_there_is_not_cast_again_and_what_is_not_is(
    cells: dict[str, Run], settings_of: Callable[..., Any], tmp_path: Path
) -> None:
    trace_here([cells["many"]], tmp_path, settings_of)

    def cast(name: str) -> tuple[int, int]:
        return trace_here([cells[name]], tmp_path, settings_of)

    assert cast("many") == (0, 0)
    assert cast("wide") == (12, 12)  # blocks 2 to 5 of 3 images; the first were there
    assert cast("early") == (0, 0)
    assert cast("fresh") == (18, 18)


def test_a_pass_that_was_broken_off_goes_on(
    cells: dict[str, Run], settings_of: Callable[..., Any], tmp_path: Path
) -> None:
    runs, whole, broken = list(cells.values()), tmp_path / "whole", tmp_path / "broken"
    trace_here(runs, whole, settings_of)
    first, _ = trace_here(runs, broken, settings_of, most_units=3)
    killed = sorted(broken.glob("traces/*/*/m_2/*.parquet"))[0]
    killed.unlink()  # its unit's other files were written when its worker died
    rest, _ = trace_here(runs, broken, settings_of)

    assert first > 0
    assert 30 - first < rest < 30
    for run in runs:
        reading, labels = reading_of(run, 3), {f"digits_{i:04}": 0 for i in range(3)}
        one, other = (
            certified(open_store(out), reading, labels) for out in (whole, broken)
        )
        assert one.equals(other)


def test_an_image_that_cannot_be_read_has_failed_in_every_cell(
    recipe_of: Recipes,
    settings_of: Callable[..., Any],
    cast: Callable[..., Any],
    folders: Path,
    tmp_path: Path,
) -> None:
    settings = (
        f"data={{source: class_folders, path: {folders}}}",
        "classifier={kind: cifar_resnet, depth: 8, shortcut: A, input: imagenet}",
        "classifier.weights={untrained: 0}",
    )
    runs = [recipe_of(*settings, f"local.num={num}").runs[0] for num in (1, 4)]
    together = tmp_path / "together"
    trace_here(runs, together, settings_of)

    for run in runs:
        cast(run, tmp_path / str(run.local.num))
        alone = read_all_votes(open_store(tmp_path / str(run.local.num)), run.sigma)
        labels, reading = labels_of(alone.rows), reading_of(run, 4)
        found = certified(open_store(together), reading, labels)

        assert found.equals(certify_votes(alone.rows, labels, reading))
        assert any("decode" in reason for reason in found["reason"].to_pylist())
