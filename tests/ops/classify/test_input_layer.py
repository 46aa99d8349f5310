from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from ops.classify.input_layer import InputLayer

CPU = torch.device("cpu")
read = TypeAdapter(InputLayer).validate_python


def grey(level: float, channels: int = 3) -> torch.Tensor:
    return torch.full((2, channels, 4, 4), level)


def test_half_takes_pixels_to_the_range_of_minus_one_to_one() -> None:
    layer = read("half").open(CPU)
    assert torch.equal(layer(grey(0.0)), grey(-1.0))
    assert torch.equal(layer(grey(1.0)), grey(1.0))


def test_named_layers_have_the_published_numbers() -> None:
    assert read("cifar10").mean == (0.4914, 0.4822, 0.4465)
    assert read("cifar10").std == (0.2023, 0.1994, 0.2010)
    assert read("imagenet").mean == (0.485, 0.456, 0.406)
    assert read("imagenet").std == (0.229, 0.224, 0.225)


def test_each_channel_gets_its_own_mean_and_std() -> None:
    image = torch.tensor(read("imagenet").mean)[None, :, None, None].expand(1, 3, 2, 2)
    shift = torch.tensor(read("imagenet").std)[None, :, None, None]
    ones = read("imagenet").open(CPU)(image + shift)
    torch.testing.assert_close(ones, torch.ones(1, 3, 2, 2))


def test_center_subtracts_the_mean_and_does_not_divide() -> None:
    layer = read({"kind": "center", "mean": [0.25, 0.25, 0.25]}).open(CPU)
    assert torch.equal(layer(grey(1.0)), grey(0.75))


def test_none_leaves_pixels_of_any_channels_alone() -> None:
    image = grey(0.3, channels=1)
    assert read("none").open(CPU)(image) is image


@pytest.mark.parametrize(
    "fields",
    [
        "imagenet22k",
        {"kind": "normalize", "mean": [0.5]},
        {"kind": "normalize", "mean": [0.5], "std": [0.5, 0.5]},
        {"kind": "normalize", "mean": [0.5], "std": [0.0]},
        {"kind": "center", "mean": [0.5], "std": [0.5]},
        {"kind": "none", "mean": [0.5]},
        {"kind": "scale"},
    ],
)
def test_layer_that_makes_no_sense_is_refused(fields: Any) -> None:
    with pytest.raises(ValueError, match="InputLayer"):
        read(fields)


def test_one_mean_is_not_spread_over_three_channels() -> None:
    layer = read({"kind": "center", "mean": [0.5]}).open(CPU)
    with pytest.raises(ValueError, match=r"1 means needs .* the image has 3"):
        layer(grey(0.5))


def test_file_that_was_trained_behind_another_layer_is_refused() -> None:
    layer = read("cifar10")
    layer.require_said_by({}, "silent.pt")
    layer.require_said_by({"input": "normalize", "mean": list(layer.mean)}, "same.pt")
    with pytest.raises(ValueError, match=r"mean \(0.485, .* other.pt was trained"):
        layer.require_said_by({"mean": [0.485, 0.456, 0.406]}, "other.pt")
    with pytest.raises(ValueError, match="needs kind center"):
        layer.require_said_by({"input": "center"}, "other.pt")
