from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torchvision.transforms.functional import InterpolationMode, normalize
from torchvision.transforms.functional import resize as resize_by_torchvision

from infra.weights.safetensors_file import write
from ops.classify.timm import Timm, resize
from ops.columns import Worker
from ops.initialise import initialise
from ops.weights import WeightsRef

Workers = Callable[..., Worker]
BILINEAR, BICUBIC = InterpolationMode.BILINEAR, InterpolationMode.BICUBIC


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


@torch.no_grad()
def test_file_with_buffers_of_an_older_timm_is_read(
    worker: Workers, tmp_path: Path
) -> None:
    name = "resnet18.tv_in1k"
    model = initialise(timm.create_model(name, num_classes=4), 1).eval()
    index = {"blocks.0.attn.relative_position_index": torch.zeros(2, 2)}
    write(tmp_path / "net.safetensors", model.state_dict() | index, {})
    classifier = Timm(
        weights=WeightsRef(path=str(tmp_path / "net.safetensors")),
        name=name,
        num_classes=4,
    )
    image = torch.rand(1, 3, 224, 224)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    expected = model(normalize(image, mean, std))
    torch.testing.assert_close(
        classifier.open(worker())(image), expected, rtol=1e-4, atol=1e-3
    )


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


@pytest.mark.parametrize("name", ["resnet50", "resnet50.", ".tv_in1k"])
def test_name_without_a_tag_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="needs a name with its tag"):
        Timm(weights=WeightsRef(untrained=0), name=name)


@pytest.mark.parametrize("name", ["resnet50.no_such_tag", "no_such_net.tv_in1k"])
def test_name_that_timm_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"it is '{name}'"):
        Timm(weights=WeightsRef(untrained=0), name=name).network()
