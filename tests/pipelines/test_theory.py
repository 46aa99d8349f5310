import csv
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from theory_made import DDPM

from infra.object_store import open_store
from infra.tables import to_bytes
from ops.schedules import Schedule
from ops.theory.theorem1 import noise_norm
from pipelines import theory as module
from pipelines.recipe import Run
from pipelines.render_theory import theory_picture
from pipelines.sample import Sample
from pipelines.theory import Asked, theory
from pipelines.worker import WorkerSettings

Settings = Callable[[Run], WorkerSettings]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, settings_of: Settings) -> None:
    """Measure in this process, where a cluster's worker would."""

    def in_worker(
        function: Callable[..., Any], run: Run, sample: Sample, *words: Any, **_: Any
    ) -> Any:
        return function(run, sample, settings_of(run), *words)

    monkeypatch.setattr(module, "in_worker", in_worker)
    monkeypatch.setattr(module.cluster, "start", lambda address: None)
    monkeypatch.setattr(module, "theory_picture", lambda rows: b"")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_valid_form_of_theorem_2_is_the_distance_of_what_is_not_clipped(
    here: None, written: str, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    settings = [DDPM, "purifier.clip=false"]
    (row,) = theory([written], settings, out, asked=Asked(3, 8)).rows

    assert row.diffusion is not None
    assert row.diffusion.theorem2_valid == pytest.approx(row.root_mean_square, rel=1e-3)


def test_a_row_holds_lengths_in_pixels_and_the_time_of_its_timestep(
    here: None, written: str, tmp_path: Path
) -> None:
    asked = Asked(3, 8, failure_probability=0.05)
    (row,) = theory([written], [DDPM], str(tmp_path), asked=asked).rows
    one = row.diffusion

    assert one is not None
    alpha_bar = Schedule(kind="cosine", num_timesteps=1000).alpha_bar()
    levels = np.sqrt((1 - alpha_bar) / alpha_bar)
    level = levels[levels >= 2 * row.sigma][0]
    assert one.level == pytest.approx(level)
    assert one.time == pytest.approx(math.log(1 + level**2) / 2)
    assert row.noisy_median == pytest.approx(0.25 * 8, rel=0.15)
    noise = level * noise_norm(64, 0.05)
    printed = row.noisy_median + (noise + one.time * one.score_bound) / 2
    assert one.printed == pytest.approx(printed)
    drift = one.score_bound * math.expm1(one.time)
    assert one.rederived == pytest.approx(row.noisy_median + (noise + drift) / 2)
    assert one.within_rederived == 1.0


def test_theorem_33_needs_no_diffusion_model_and_the_others_say_so(
    here: None, written: str, tmp_path: Path
) -> None:
    found = theory([written], [], str(tmp_path / "out"), asked=Asked(3, 4))
    (row,) = found.rows

    assert row.diffusion is None
    assert row.distance_to_data is not None
    assert row.distance_to_data > 0
    assert any("Theorems 1 and 2 need" in remark for remark in found.remarks)
    (line,) = rows_of((tmp_path / "out" / "theory.csv").read_text())
    assert line["theorem1_printed"] == ""
    assert float(line["frechet_distance"]) == row.distance_to_data


def test_less_noise_leaves_purified_images_nearer_to_the_data(
    here: None, written: str, tmp_path: Path
) -> None:
    settings = ["sigma=[0.05, 0.5]", "local.sigma=0.01"]
    rows = theory([written], settings, str(tmp_path), asked=Asked(3, 8)).rows
    near, far = (row.distance_to_data for row in rows)

    assert near is not None
    assert far is not None
    assert near < far


def test_an_ensemble_has_no_features_and_all_else_is_told(
    here: None, written: str, tmp_path: Path
) -> None:
    member = "{kind: digits_cnn, weights: {untrained: 0}}"
    settings = [DDPM, f"classifier={{kind: ensemble, members: [{member}, {member}]}}"]
    found = theory([written], settings, str(tmp_path), asked=Asked(3, 2))

    assert found.rows[0].distance_to_data is None
    assert found.rows[0].diffusion is not None
    assert any("is an ensemble of 2" in remark for remark in found.remarks)


def certificates(store: Any) -> None:
    table = pa.table(
        {
            "image_key": ["a", "b", "c", "d"],
            "label": pa.array([0, 1, 2, 3], pa.int32()),
            "sigma": [0.25] * 4,
            "guessed_class": pa.array([0, 1, 9, 3], pa.int32()),
            "abstained": [False, False, False, True],
            "radius": [0.3, 0.1, 0.7, 0.0],
        }
    )
    store.write("certificates.parquet", to_bytes(table, {}))


def test_certificates_stand_beside_the_distance_to_the_data(
    here: None, written: str, tmp_path: Path
) -> None:
    certificates(open_store(tmp_path / "run"))
    runs = [str(tmp_path / "run")]
    (row,) = theory(
        [written], [], str(tmp_path / "out"), asked=Asked(3, 2), runs=runs
    ).rows

    assert row.certified is not None
    assert row.certified.at_zero == 0.5
    assert row.certified.at_sigma == 0.25
    assert row.certified.average_radius == pytest.approx(0.1)


def test_recipes_stand_beside_each_other_in_one_table(
    here: None, written: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(Path(written).read_text().replace("first:3", "first:2"))
    names = [written, str(other)]
    found = theory(names, [DDPM], str(tmp_path / "out"), asked=Asked(3, 2))

    assert [row.recipe for row in found.rows] == ["small", "other"]
    assert [row.num_images for row in found.rows] == [3, 3]
    text = (tmp_path / "out" / "theory.md").read_text()
    assert "| small | one_shot_ddpm | 0.25 | 3 |" in text
    assert "| other | nothing | 0.25 | 3 |" in text
    assert "no certificate" in text
    assert (tmp_path / "out" / "theory.png").exists()
    assert theory_picture(found.rows).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"num_images": 1}, "--images has 1"),
        ({"num_copies": 0}, "--copies 0"),
        ({"failure_probability": 0.0}, "--eta has 0.0"),
        ({"failure_probability": 1.0}, "--eta has 1.0"),
    ],
)
def test_a_look_that_tells_nothing_is_refused(
    asked: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Asked(**asked)


def test_recipes_that_cannot_stand_beside_each_other_are_refused(
    here: None, written: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(Path(written).read_text().replace("split: test", "split: tune"))
    for names, runs, sentence in [
        ([written, written], [], "each recipe once"),
        ([written, str(other)], [], "the data of other differs"),
        ([written], ["a", "b"], "has 2 for 1 recipes"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            theory(names, [], str(tmp_path / "out"), asked=Asked(), runs=runs)
    with pytest.raises(FileNotFoundError, match="has none"):
        theory([written], [], None, asked=Asked(), runs=[str(tmp_path / "no")])


def test_images_of_several_shapes_are_refused(
    here: None, folders: Path, written: str, tmp_path: Path
) -> None:
    data = f"data={{source: class_folders, path: {folders}, preprocess: none}}"
    with pytest.raises(ValueError, match="images of one shape"):
        theory([written], [data, "data.subset=full"], str(tmp_path), asked=Asked())
