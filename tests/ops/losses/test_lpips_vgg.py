"""LPIPS; what needs the extra is skipped where it is not installed."""

import importlib
import sys
import warnings
from typing import Any

import pytest
import torch

from ops.columns import Worker
from ops.losses.lpips_vgg import Distance, LpipsVgg
from ops.weights import Weights, WeightsRef

METRIC = LpipsVgg(weights=WeightsRef(path="vgg16.pth"), size=32)


def vgg16(num: int = 13) -> dict[str, torch.Tensor]:
    """Return tensors of the shapes and names of torchvision's VGG16."""
    generator = torch.Generator().manual_seed(0)
    places = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28][:num]
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    tensors = {"classifier.0.bias": torch.zeros(4)}
    for place, inputs, outputs in zip(places, widths, widths[1:], strict=False):
        shape, scale = (outputs, inputs, 3, 3), (2 / (9 * inputs)) ** 0.5
        weight = scale * torch.randn(shape, generator=generator)
        tensors[f"features.{place}.weight"] = weight
        tensors[f"features.{place}.bias"] = torch.zeros(outputs)
    return tensors


def worker_of(tensors: dict[str, torch.Tensor]) -> Worker:
    return Worker(torch.device("cpu"), load=lambda _: Weights("vgg16.pth", tensors))


@pytest.fixture(scope="module")
def distance() -> Distance:
    pytest.importorskip("lpips", reason="the extra lpips is not installed")
    return METRIC.open(worker_of(vgg16()))


def images(seed: int, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(2, 3, size, size, generator=generator) - 1


def test_without_the_package_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)

    with pytest.raises(ValueError, match=r"Install diffsmooth\[lpips\], or take"):
        METRIC.open(worker_of(vgg16()))


def test_without_weights_it_is_refused() -> None:
    pytest.importorskip("lpips", reason="the extra lpips is not installed")

    with pytest.raises(ValueError, match=r"vgg16.pth has no 'features.28.weight'"):
        METRIC.open(worker_of(vgg16(num=12)))


@torch.no_grad()
def test_it_is_the_packages_own_metric(distance: Distance) -> None:
    lpips: Any = importlib.import_module("lpips")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    for name, weight in theirs.net.named_parameters():
        weight.copy_(vgg16()["features." + name.partition(".")[2]])

    found = distance(images(0), images(1))

    wanted = theirs(images(0), images(1)).flatten()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=0)
    assert distance(images(0), images(0)).tolist() == [0, 0]


def test_images_are_resized_and_have_gradients(distance: Distance) -> None:
    small, other = images(0, 8).requires_grad_(), images(1, 8)

    found = distance(small, other)

    resize = torch.nn.Upsample(size=(32, 32), mode="bilinear")
    torch.testing.assert_close(found, distance(resize(small), resize(other)))
    (gradient,) = torch.autograd.grad(found.sum(), small)
    assert (gradient.flatten(1).norm(dim=1) > 0).all()
