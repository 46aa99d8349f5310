"""Files of networks for ImageNet as others saved them, through the timm kind."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from ops.classify.timm import Timm
from ops.columns import Worker
from ops.weights import Weights, WeightsRef

State = dict[str, torch.Tensor]
Workers = Callable[..., Worker]

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
BEIT = "beit_base_patch16_224.in22k_ft_in22k_in1k"
RELATIVE = "vit_relpos_small_patch16_224.sw_in1k"


def timm_of(path: Path | str, name: str, **fields: Any) -> Timm:
    reference = WeightsRef(path=str(path))
    return Timm.model_validate({"weights": reference, "name": name, **fields})


@torch.no_grad()
def drawn(network: nn.Module) -> nn.Module:
    """Fill a network so that every tensor of it matters to the logits."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if tensor.dim() >= 2:
            fan_in = tensor.numel() // tensor.shape[0]
            std = 1.0 if name.endswith("bias_table") else fan_in**-0.5
            tensor.normal_(0, std, generator=generator)
        elif tensor.is_floating_point():
            low = 0.5 if name.endswith(("weight", "var")) else -0.2
            tensor.uniform_(low, low + 0.4, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def resnet50() -> nn.Module:
    return drawn(torchvision.models.resnet50(weights=None, num_classes=20))


@pytest.fixture(scope="module")
def smoothadv(resnet50: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file as Cohen et al. and SmoothAdv save ImageNet's ResNet-50."""
    path = tmp_path_factory.mktemp("weights") / "checkpoint.pth.tar"
    state = {f"1.module.{key}": value for key, value in resnet50.state_dict().items()}
    torch.save({"epoch": 90, "arch": "resnet50", "state_dict": state}, path)
    return path


@torch.no_grad()
@pytest.mark.parametrize(
    ("layer", "prepare"),
    [
        (None, lambda image: (image - MEAN) / STD),
        ("imagenet", lambda image: (image - MEAN) / STD),
        ("imagenet_center", lambda image: image - MEAN),
        ("half", lambda image: 2 * image - 1),
    ],
)
def test_resnet_50_of_torchvision_gives_its_own_logits(
    resnet50: nn.Module,
    smoothadv: Path,
    worker: Workers,
    layer: str | None,
    prepare: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    fields = {"num_classes": 20, "input": layer}
    classifier = timm_of(smoothadv, "resnet50.tv_in1k", **fields)
    logits = classifier.open(worker())(image)

    expected = resnet50(prepare(image))
    assert expected.std() > 0.1
    torch.testing.assert_close(
        logits, expected, rtol=1e-4, atol=1e-4 * expected.abs().max()
    )


def test_file_of_another_architecture_is_refused_by_name(
    smoothadv: Path, worker: Workers
) -> None:
    classifier = timm_of(smoothadv, "resnet50d.a1_in1k", num_classes=20)
    with pytest.raises(ValueError, match=r"recipe has kind: timm, name: resnet50d\.a1"):
        classifier.open(worker())


def relative_positions(side: int) -> torch.Tensor:
    """Number the offsets between patches, and the three of the class token.

    Source: Bao et al. 2022, arXiv:2106.08254, and Raffel et al.'s biases in 2D: each
    offset (rows, columns) has a number of its own, row by row; then from the token to
    patches, from patches to it, and to itself.
    """
    offsets = 2 * side - 1
    place = [(row, column) for row in range(side) for column in range(side)]
    table = torch.zeros(len(place) + 1, len(place) + 1, dtype=torch.int64)
    for i, (row, column) in enumerate(place, 1):
        for j, (other_row, other_column) in enumerate(place, 1):
            down, right = row - other_row + side - 1, column - other_column + side - 1
            table[i, j] = down * offsets + right
    table[0, :] = offsets**2
    table[:, 0] = offsets**2 + 1
    table[0, 0] = offsets**2 + 2
    return table


def holding(worker: Worker, tensors: State) -> Worker:
    """Return a worker whose weights are these, without the way over a disk."""
    weights = Weights("beit.pt", tensors)
    return replace(worker, load=lambda reference: weights)


@torch.no_grad()
def test_beit_file_of_timm_0_9_gives_the_logits_of_the_network(
    worker: Workers,
) -> None:
    classifier = timm_of("beit.pt", BEIT, num_classes=4)
    beit = drawn(classifier.network())
    index = relative_positions(14)
    computed = {
        f"blocks.{block}.attn.relative_position_index": index for block in range(12)
    }
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))

    logits = classifier.open(holding(worker(), beit.state_dict() | computed))(image)

    expected = beit(2 * image - 1)
    assert expected.std() > 0.1
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda index: index.flip(0),
            "needs 'blocks.3.attn.rel_pos.relative_position_index'",
        ),
        (lambda index: index[:-1], "beit.pt has another"),
    ],
)
def test_file_with_other_relative_positions_is_refused(
    worker: Workers, change: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    classifier = timm_of("beit.pt", RELATIVE)
    network = classifier.network()
    computed = dict(network.named_buffers())
    key = "blocks.3.attn.rel_pos.relative_position_index"
    tensors = {**network.state_dict(), **computed, key: change(computed[key])}
    with pytest.raises(ValueError, match=message):
        classifier.open(holding(worker(), tensors))


def test_buffer_that_the_network_has_not_is_refused_by_name(worker: Workers) -> None:
    classifier = timm_of("beit.pt", "resnet18.tv_in1k")
    key = "blocks.0.attn.relative_position_index"
    tensors = {**classifier.network().state_dict(), key: relative_positions(2)}
    with pytest.raises(ValueError, match=f"has '{key}', which the network has not"):
        classifier.open(holding(worker(), tensors))
