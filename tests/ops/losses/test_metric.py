from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from ops.columns import Worker
from ops.losses.feature_distance import feature_distance
from ops.losses.metric import Metric

WORKER = Worker(torch.device("cpu"))
DIGITS = {"kind": "digits_cnn", "weights": {"untrained": 0}}
METRICS: list[dict[str, Any]] = [
    {"kind": "l2"},
    {"kind": "l1"},
    {"kind": "huber"},
    {"kind": "huber", "c": 0.3},
    {"kind": "features", "classifier": DIGITS},
]


def metric_of(fields: dict[str, Any]) -> Any:
    return TypeAdapter(Metric).validate_python(fields).open(WORKER)


def signed(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(5, 1, 8, 8, generator=generator) - 1


@pytest.mark.parametrize("fields", METRICS, ids=str)
def test_an_image_is_at_no_distance_from_itself(fields: dict[str, Any]) -> None:
    assert metric_of(fields)(signed(0), signed(0)).tolist() == [0.0] * 5


@pytest.mark.parametrize("fields", METRICS, ids=str)
def test_both_ways_are_as_long_and_longer_than_none(fields: dict[str, Any]) -> None:
    distance, first, second = metric_of(fields), signed(0), signed(1)

    there, back = distance(first, second), distance(second, first)

    torch.testing.assert_close(there, back)
    assert (there > 0).all()
    assert len(there.unique()) == 5  # one number for each pair


@pytest.mark.parametrize("fields", METRICS, ids=str)
def test_one_pixel_tells(fields: dict[str, Any]) -> None:
    first, second = signed(0), signed(0)
    second[2, 0, 4, 4] += 0.1

    apart = metric_of(fields)(first, second) > 0

    assert apart.tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("fields", METRICS, ids=str)
def test_descent_finds_the_image(fields: dict[str, Any]) -> None:
    distance, wanted = metric_of(fields), signed(1)
    image = signed(0).requires_grad_()
    optimiser = torch.optim.Adam([image], lr=0.02)
    before = distance(image, wanted).sum().item()

    for _ in range(60):
        optimiser.zero_grad()
        distance(image, wanted).sum().backward()
        optimiser.step()

    assert distance(image, wanted).sum().item() < before / 3


def test_pixels_are_compared_as_the_formulas_say() -> None:
    first, second = signed(0), signed(1)
    each = (first - second).double().flatten(1)
    length = each.norm(dim=1)
    c = 0.00054 * 64**0.5
    expected = {
        "l2": length**2 / 64,
        "l1": each.abs().sum(dim=1) / 64,
        "huber": (length**2 + c**2).sqrt() - c,
    }

    for kind, wanted in expected.items():
        found = metric_of({"kind": kind})(first, second).double()
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)


def test_huber_is_a_square_nearby_and_a_length_far_off() -> None:
    distance = metric_of({"kind": "huber", "c": 1.0})
    zero, one = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    one[0, 0, 0, 0] = 1.0

    near, far = distance(zero, 0.01 * one), distance(zero, 1000 * one)

    assert near.item() == pytest.approx(0.01**2 / 2, rel=1e-2)
    assert far.item() == pytest.approx(999, rel=1e-5)


def test_directions_of_features_count_and_their_lengths_do_not() -> None:
    own = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    across = torch.tensor([-4.0, 3.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)

    assert feature_distance([own, own], [7 * own, across]).item() == pytest.approx(2)
    assert feature_distance([own], [-own]).item() == pytest.approx(4)


def test_silent_features_have_gradients() -> None:
    silent = torch.zeros(1, 2, 2, 2, requires_grad=True)

    feature_distance([silent], [torch.zeros(1, 2, 2, 2)]).sum().backward()

    assert silent.grad is not None
    assert silent.grad.isfinite().all()


def test_an_ensemble_is_no_perceptual_network() -> None:
    fields = {
        "kind": "features",
        "classifier": {"kind": "ensemble", "members": [DIGITS, DIGITS]},
    }

    with pytest.raises(ValidationError, match="'timm', 'cifar_resnet', 'digits_cnn'"):
        metric_of(fields)
