"""What trainings in real workers make of their images: labels, and names in errors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trainings_made import training_of

from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.weights import WeightsRef
from pipelines.train import train
from pipelines.train_hash import recipe_hash
from pipelines.train_publish import folder_of
from pipelines.train_read import read_all

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("one_database"),
    # Ray's trainer copies its own data settings, the deprecated ones among them.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]


def test_a_loss_that_is_no_number_names_step_images_and_learning_rate(
    ray_cluster: None, tmp_path: Path
) -> None:
    wild = {"steps": 30, "batch": 20, "learning_rate": 1e30, "warmup": 3}
    recipe = training_of(optimiser=wild)

    said = r"at step \d+ and learning rate \S*e\+.* on the images digits_\d+, "
    with pytest.raises(ValueError, match=said):
        train(recipe, tmp_path)
    assert not folder_of(recipe_hash(recipe), tmp_path).exists()


def test_images_of_unknown_class_get_the_labels_of_a_teacher(
    ray_cluster: None, tmp_path: Path
) -> None:
    teacher = {"kind": "digits_cnn", "weights": {"untrained": 3}}
    data = {"source": "digits", "split": "train", "subset": "stride:2:1"}
    recipe = training_of(extra={"data": data, "teacher": teacher, "weight": 0.5})

    train(recipe, tmp_path)

    assert recipe.extra is not None
    image, _ = read_all(recipe.extra.data)
    guess = DigitsCnn(weights=WeightsRef(untrained=3)).open(Worker(torch.device("cpu")))
    expected = guess(torch.from_numpy(image)).argmax(dim=1)
    (labels,) = (tmp_path / "labels").iterdir()
    assert np.load(labels).tolist() == expected.tolist()


def test_an_image_that_one_worker_cannot_read_ends_all_of_them(
    ray_cluster: None, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        path = folder / str(index % 2) / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    (folder / "1" / "39.png").write_bytes(b"no image")
    recipe = training_of(
        data={"source": "class_folders", "path": str(folder)},
        network={
            "kind": "cifar_resnet",
            "depth": 8,
            "input": "none",
            "num_classes": 2,
        },
        workers={"num_workers": 2},
    )

    with pytest.raises(ValueError, match=r"cannot use an image.*39"):
        train(recipe, tmp_path / "cache")
