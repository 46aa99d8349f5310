from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from pydantic import TypeAdapter
from timm.data.config import resolve_model_data_config
from torchvision.transforms.functional import InterpolationMode, normalize
from torchvision.transforms.functional import resize as resize_by_torchvision

from infra.weights.safetensors_file import write
from ops.classify.input_layer import InputLayer
from ops.classify.timm import Timm, resize
from ops.columns import Worker
from ops.initialise import initialise
from ops.weights import WeightsRef

Workers = Callable[..., Worker]
IMAGENET = {
    "kind": "normalize",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
HALF = {"kind": "normalize", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
BILINEAR, BICUBIC = InterpolationMode.BILINEAR, InterpolationMode.BICUBIC


def timm_of(name: str, **fields: Any) -> Timm:
    reference = WeightsRef(untrained=0)
    return Timm.model_validate({"weights": reference, "name": name, **fields})


@torch.no_grad()
def test_resize_and_normalisation_happen_inside(worker: Workers) -> None:
    image = torch.rand(2, 3, 64, 64)
    reference = WeightsRef(untrained=3)
    classifier = Timm(weights=reference, name="resnet50.tv_in1k", num_classes=5)
    logits = classifier.open(worker())(image)

    model = timm.create_model("resnet50", num_classes=5)
    resized = resize_by_torchvision(image, [224, 224], BILINEAR, antialias=True)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    by_hand = initialise(model, 3).eval()(normalize(resized, mean, std))
    assert logits.shape == (2, 5)
    assert by_hand.std() > 0
    torch.testing.assert_close(
        logits, by_hand, rtol=1e-4, atol=1e-4 * by_hand.abs().max()
    )


@pytest.mark.parametrize(
    ("mode", "theirs"), [("bilinear", BILINEAR), ("bicubic", BICUBIC)]
)
@pytest.mark.parametrize("size", [(16, 16), (48, 40)])
def test_resize_is_antialiased_as_torchvisions(
    mode: str, theirs: InterpolationMode, size: tuple[int, int]
) -> None:
    image = torch.rand(2, 3, 32, 32)
    expected = resize_by_torchvision(image, list(size), theirs, antialias=True)
    torch.testing.assert_close(resize(image, size, mode), expected)


def test_image_of_the_right_size_is_not_touched() -> None:
    image = torch.rand(2, 3, 32, 32)
    assert resize(image, (32, 32), "bicubic") is image


def test_weights_with_other_classes_than_imagenets_are_refused(
    worker: Workers, tmp_path: Path
) -> None:
    name = "resnet18.tv_in1k"
    state = timm.create_model(name, num_classes=21).state_dict()
    write(tmp_path / "net.safetensors", state, {})
    classifier = Timm(
        weights=WeightsRef(path=str(tmp_path / "net.safetensors")), name=name
    )
    with pytest.raises(ValueError, match=r"'fc.weight' of shape \(21, 512\), not"):
        classifier.open(worker())


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (
            "resnet50.tv_in1k",
            {"size": (224, 224), "interpolation": "bilinear", "input": IMAGENET},
        ),
        (
            "beit_large_patch16_224.in22k_ft_in22k_in1k",
            {"size": (224, 224), "interpolation": "bicubic", "input": HALF},
        ),
        (
            "beit_large_patch16_512.in22k_ft_in22k_in1k",
            {"size": (512, 512), "interpolation": "bicubic", "input": HALF},
        ),
    ],
)
def test_data_configuration_is_the_published_one(
    name: str, config: dict[str, Any]
) -> None:
    assert timm_of(name).data_config().model_dump(exclude_defaults=True) == config


def test_data_configuration_is_the_models_own() -> None:
    classifier = timm_of("vit_tiny_patch16_384.augreg_in21k_ft_in1k")
    theirs = resolve_model_data_config(classifier.network())
    ours = classifier.data_config()
    assert ours.size == theirs["input_size"][1:] == (384, 384)
    assert ours.interpolation == theirs["interpolation"]
    assert (ours.input.mean, ours.input.std) == (theirs["mean"], theirs["std"])


@pytest.mark.parametrize("layer", ["imagenet_center", "none", "half"])
def test_input_of_the_recipe_takes_the_place_of_timms(layer: str) -> None:
    classifier = timm_of("resnet18.tv_in1k", input=layer)
    assert classifier.data_config().input == TypeAdapter(InputLayer).validate_python(
        layer
    )


@pytest.mark.parametrize("name", ["resnet50", "resnet50.", ".tv_in1k"])
def test_name_without_a_tag_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="needs a name with its tag"):
        Timm(weights=WeightsRef(untrained=0), name=name)


@pytest.mark.parametrize("name", ["resnet50.no_such_tag", "no_such_net.tv_in1k"])
def test_name_that_timm_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"it is '{name}'"):
        Timm(weights=WeightsRef(untrained=0), name=name).network()
