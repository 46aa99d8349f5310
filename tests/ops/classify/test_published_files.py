"""Files as the papers' programs saved them, against the network computed by hand."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from ops.classify.cifar_resnet import CifarResnet
from ops.columns import Worker
from ops.weights import WeightsRef

State = dict[str, torch.Tensor]
Workers = Callable[..., Worker]

DEPTH = 110
CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


def prefixed(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


def cohen(state: State) -> dict[str, Any]:
    """Return a file of Cohen et al., SmoothAdv, Consistency, SmoothMix or Boosting."""
    return {
        "epoch": 90,
        "arch": f"cifar_resnet{DEPTH}",
        "state_dict": prefixed("1.", state),
        "optimizer": {"state": {0: torch.ones(2)}, "param_groups": [{"lr": 0.1}]},
    }


def macer(state: State) -> dict[str, Any]:
    """Return a file of MACER: no layer in front, trained on bare [0, 1] pixels."""
    return {"net": dict(state), "epoch": 440}


def parallel(state: State) -> dict[str, Any]:
    """Return a bare state of DataParallel."""
    return dict(prefixed("module.", state))


def parallel_around_all(state: State) -> dict[str, Any]:
    """Return a state of DataParallel around the layer in front and the network."""
    return {"state_dict": prefixed("module.1.", state)}


def parallel_with_best(state: State) -> dict[str, Any]:
    """Return a file as PyTorch's own training script leaves it."""
    return {"state_dict": prefixed("module.", state), "best_prec1": 91.7}


def draw_resnet(depth: int, seed: int) -> State:
    """Return random tensors in the layout of Cohen's CIFAR ResNet."""
    generator = torch.Generator().manual_seed(seed)
    state: State = {}

    def convolution(name: str, outputs: int, inputs: int, width: int) -> None:
        scale = (2 / (inputs * width * width)) ** 0.5
        shape = (outputs, inputs, width, width)
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * scale

    def norm(name: str, width: int) -> None:
        for part, low in (("weight", 0.3), ("bias", -0.2), ("running_mean", -0.2)):
            state[f"{name}.{part}"] = low + 0.4 * torch.rand(width, generator=generator)
        state[f"{name}.running_var"] = 0.5 + torch.rand(width, generator=generator)
        state[f"{name}.num_batches_tracked"] = torch.tensor(70_000)

    convolution("conv1", 16, 3, 3)
    norm("bn1", 16)
    before = 16
    for stage, width in enumerate((16, 32, 64), 1):
        for block in range((depth - 2) // 6):
            at = f"layer{stage}.{block}"
            convolution(f"{at}.conv1", width, before, 3)
            norm(f"{at}.bn1", width)
            convolution(f"{at}.conv2", width, width, 3)
            norm(f"{at}.bn2", width)
            if before != width:
                convolution(f"{at}.downsample.0", width, before, 1)
                norm(f"{at}.downsample.1", width)
            before = width
    state["fc.weight"] = torch.randn(10, 64, generator=generator)
    state["fc.bias"] = torch.randn(10, generator=generator)
    return state


def resnet_logits(state: State, depth: int, image: torch.Tensor) -> torch.Tensor:
    """Compute the logits of a network in that layout, tensor by tensor."""

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, var, weight, bias)

    x = functional.conv2d(image, state["conv1.weight"], padding=1)
    x = functional.relu(norm("bn1", x))
    for stage in (1, 2, 3):
        for block in range((depth - 2) // 6):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = functional.conv2d(x, state[f"{at}.conv1.weight"], None, stride, 1)
            y = functional.relu(norm(f"{at}.bn1", y))
            y = functional.conv2d(y, state[f"{at}.conv2.weight"], padding=1)
            if stride == 2:
                x = functional.conv2d(x, state[f"{at}.downsample.0.weight"], None, 2)
                x = norm(f"{at}.downsample.1", x)
            x = functional.relu(norm(f"{at}.bn2", y) + x)
    return functional.linear(x.mean((2, 3)), state["fc.weight"], state["fc.bias"])


@pytest.fixture(scope="module")
def state() -> State:
    return draw_resnet(DEPTH, 0)


def resnet_110(path: Path, layer: str) -> CifarResnet:
    return CifarResnet.model_validate(
        {
            "weights": WeightsRef(path=str(path)),
            "depth": DEPTH,
            "shortcut": "B",
            "input": layer,
        }
    )


@torch.no_grad()
@pytest.mark.parametrize(
    ("save", "name", "layer"),
    [
        (cohen, "checkpoint.pth.tar", "cifar10"),
        (cohen, "checkpoint.pth.tar", "cifar10_center"),
        (macer, "440.pth", "none"),
        (parallel, "net.pt", "cifar10"),
        (parallel, "resnet.net", "half"),
        (parallel_with_best, "resnet110.th", "imagenet"),
        (parallel_around_all, "net.ckpt", "cifar10"),
    ],
)
def test_every_dialect_gives_the_logits_of_the_network_that_was_saved(  # noqa: PLR0913 - two fixtures and a table of three columns
    state: State,
    worker: Workers,
    tmp_path: Path,
    save: Callable[[State], Mapping[str, Any]],
    name: str,
    layer: str,
) -> None:
    torch.save(save(state), tmp_path / name)
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    logits = resnet_110(tmp_path / name, layer).open(worker())(image)

    expected = resnet_logits(state, DEPTH, by_hand(image, layer))
    assert expected.std() > 0.1
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def by_hand(image: torch.Tensor, layer: str) -> torch.Tensor:
    mean, std = CIFAR10
    if layer.startswith("imagenet"):
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    shifted = image - torch.tensor(mean)[:, None, None]
    if layer == "none":
        return image
    if layer == "half":
        return 2 * image - 1
    return (
        shifted
        if layer.endswith("center")
        else shifted / torch.tensor(std)[:, None, None]
    )


@torch.no_grad()
def test_a_wrong_input_layer_changes_the_logits(
    state: State, worker: Workers, tmp_path: Path
) -> None:
    torch.save(cohen(state), tmp_path / "net.pth")
    image = torch.rand(2, 3, 32, 32)
    normalised, centred = (
        resnet_110(tmp_path / "net.pth", layer).open(worker())(image)
        for layer in ("cifar10", "cifar10_center")
    )
    assert (normalised - centred).abs().max() > 0.1 * normalised.std()


def test_depth_that_the_file_contradicts_is_refused(
    state: State, worker: Workers, tmp_path: Path
) -> None:
    torch.save(cohen(state), tmp_path / "net.pth")
    classifier = resnet_110(tmp_path / "net.pth", "cifar10")
    with pytest.raises(
        ValueError, match=r"depth: 110, .* has kind: cifar_resnet, depth: 20"
    ):
        classifier.model_copy(update={"depth": 20}).open(worker())
