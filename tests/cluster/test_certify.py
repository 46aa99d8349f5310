import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

pytestmark = pytest.mark.ray

Certify = Callable[..., Path]


def certificates(out: Path) -> bytes:
    return (out / "certificates.parquet").read_bytes()


def votes(out: Path) -> set[tuple]:
    """Return every block with its votes, without times and places."""
    rows = [
        row
        for file in sorted(out.glob("votes/*/*.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]
    names = ("sigma", "image_key", "stream", "block", "counts", "invalid")
    return {json.dumps([row[name] for name in names]) for row in rows}


def test_out_holds_all_that_is_promised(undisturbed: Path) -> None:
    table = pq.read_table(undisturbed / "certificates.parquet")

    assert {
        "image_key",
        "label",
        "sigma",
        "guessed_class",
        "abstained",
        "num_votes",
        "num_draws",
        "failure_probability",
        "probability_lower",
        "radius",
        "radius_two_sided",
        "rule",
        "reason",
    } <= set(table.column_names)
    assert table.num_rows == 12
    assert set(table["num_draws"].to_pylist()) == {300}
    assert json.loads(table.schema.metadata[b"diffsmooth.units"])["radius"]
    for name in ("table.md", "table.tex", "table.csv", "curve.svg", "curve.png"):
        assert (undisturbed / "report" / name).stat().st_size > 0
    manifest = json.loads((undisturbed / "manifest.json").read_text())
    assert manifest["runs"][0]["images_done"] == 6
    assert yaml.safe_load((undisturbed / "recipe.yaml").read_text())["seed"] == 0


def test_votes_of_an_image_tile_its_streams(undisturbed: Path) -> None:
    blocks = [tuple(json.loads(vote)[:4]) for vote in votes(undisturbed)]

    # One clean copy, one block of 100 to select, three to estimate; two sigmas.
    assert len(blocks) == len(set(blocks)) == 6 * 2 * (1 + 1 + 3)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("staged", ["plan=staged", "stages.unit_votes=100", "sigma=[0.25]"]),
        ("one_actor", ["sigma=[0.5, 0.25]"]),
    ],
)
def test_certificates_are_the_same_under_another(
    certify_six: Certify, undisturbed: Path, name: str, settings: list[str]
) -> None:
    out = certify_six(name, *settings)

    sigmas = {json.loads(vote)[0] for vote in votes(out)}
    same = {vote for vote in votes(undisturbed) if json.loads(vote)[0] in sigmas}
    assert votes(out) == same
    assert certified(out, sigmas).equals(certified(undisturbed, sigmas))


def certified(out: Path, sigmas: set[float]) -> pa.Table:
    rows = pq.read_table(out / "certificates.parquet")
    return rows.filter(
        pa.array([sigma in sigmas for sigma in rows["sigma"].to_pylist()])
    )


def test_an_image_that_cannot_be_decoded_is_a_row_and_status_3(
    ray_cluster: None, runs: Path
) -> None:
    import numpy as np
    from PIL import Image

    from pipelines.certify import certify

    folder = runs / "pictures" / "0"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "whole.png")
    (folder / "broken.png").write_bytes(b"no picture")
    recipe = {
        "data": {"source": "class_folders", "path": str(folder.parent)},
        "sigma": 0.5,
        "purifier": {"kind": "nothing"},
        "classifier": {
            "kind": "cifar_resnet",
            "depth": 8,
            "shortcut": "A",
            "input": "cifar10",
            "weights": {"untrained": 0},
        },
        "local": {"sigma": 0, "num": 1},
        "sampling": {"num_estimate": 100},
    }
    path = runs / "pictures.yaml"
    path.write_text(yaml.safe_dump(recipe))

    status, (curve,), _ = certify(str(path), [], str(runs / "pictures_out"))

    rows = {row["image_key"]: row for row in curve.certificates.to_pylist()}
    assert status == 3
    assert rows["broken"]["radius"] == 0.0
    assert "broken" in rows["broken"]["reason"]
    assert rows["broken"]["abstained"]
    assert rows["whole"]["reason"] in {"certified", "abstained"}


def test_workers_import_our_ops_and_not_a_namesake(ray_cluster: None) -> None:
    import ray

    import ops

    @ray.remote
    def place() -> str | None:
        import ops

        return ops.__file__

    assert ray.get(place.remote()) == ops.__file__


def test_predictions_have_votes_of_their_own(
    undisturbed: Path, recipe_file: Path, ray_cluster: None
) -> None:
    from pipelines.predict import predict

    certified = certificates(undisturbed)
    settings = ["sampling.num_predict=200"]
    status, table, _ = predict(str(recipe_file), settings, str(undisturbed))

    assert status == 0
    assert certificates(undisturbed) == certified
    assert table.num_rows == 12
    assert all(
        0 < row["num_top"] + row["num_second"] <= 200 for row in table.to_pylist()
    )


def test_tracking_holds_a_run_per_sigma_under_one_parent(
    undisturbed: Path, runs: Path
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    (experiment,) = [
        e for e in client.search_experiments() if e.name == "diffsmooth digits"
    ]
    found = client.search_runs(
        [experiment.experiment_id], f"tags.`diffsmooth.out` = '{undisturbed}'"
    )
    parents = [r for r in found if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in found if "mlflow.parentRunId" in r.data.tags]

    assert len(parents) == 1
    assert {child.data.tags["diffsmooth.sigma"] for child in children} == {
        "0.25",
        "0.5",
    }
    for child in children:
        assert "certified_accuracy/r_0.25" in child.data.metrics
        assert {"acr", "abstention_rate"} <= set(child.data.metrics)
        assert child.data.params["sampling.num_estimate"] == "300"
    names = {
        artifact.path for artifact in client.list_artifacts(parents[0].info.run_id)
    }
    assert {"recipe.yaml", "report"} <= names
