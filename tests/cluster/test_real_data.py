"""The packaged recipes on real images and weights, where there are any."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray


def data(*names: str) -> Path:
    """Return the folder of real data, or skip if something is not in it."""
    folder = os.environ.get("DIFFSMOOTH_DATA")
    if folder is None:
        pytest.skip("DIFFSMOOTH_DATA names no folder of real images and weights")
    for name in names:
        if not list(Path(folder).glob(name)):
            pytest.skip(f"DIFFSMOOTH_DATA has no {name}")
    return Path(folder)


SMALL = ["data.subset=first:3", "stages.fused.actors=1"]


def test_public_resnet_smooths_real_cifar_images(ray_cluster: None, runs: Path) -> None:
    from pipelines.certify import certify

    data("cifar10/test.parquet", "weights/cifar10/resnet56-*.th")
    settings = ["data.subset=first:12", "sampling.num_estimate=100", SMALL[1]]
    status, (curve,), _ = certify(
        "cifar10_resnet56_gaussian", settings, str(runs / "resnet56")
    )

    rows = curve.certificates.to_pylist()
    assert status == 0
    assert sum(row["clean_class"] == row["label"] for row in rows) >= 8


def test_real_diffsmooth_certifies_real_cifar_images(
    ray_cluster: None, runs: Path
) -> None:
    from pipelines.certify import certify

    data("cifar10/test.parquet", "weights/cifar10/ddpm_small", "weights/cifar10/*.pt")
    settings = [*SMALL, "sampling.num_estimate=100", "sigma=[0.25]"]
    status, (curve,), _ = certify(
        "cifar10_small_diffsmooth", settings, str(runs / "diffsmooth")
    )

    rows = curve.certificates.to_pylist()
    assert status == 0
    assert {row["num_draws"] for row in rows} == {100}
    assert any(
        row["radius"] > 0 and row["guessed_class"] == row["label"] for row in rows
    )


def test_imagenet_images_keep_their_resolution_to_the_classifier(
    ray_cluster: None, runs: Path
) -> None:
    from pipelines.certify import certify

    data("imagenet_val_sample/n*/*.JPEG")
    settings = [
        *(
            "data.subset=first:1",
            "sampling={num_estimate: 20, num_select: 20, block: 20}",
        ),
        SMALL[1],
    ]
    status, (curve,), _ = certify("imagenet_shapes", settings, str(runs / "imagenet"))

    (row,) = curve.certificates.to_pylist()
    assert status == 0
    assert sum(entry["count"] for entry in row["counts"]) == 20
