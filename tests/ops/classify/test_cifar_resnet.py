import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.nn import functional

from infra.weights.safetensors_file import write
from ops.classify.cifar_resnet import CifarResnet
from ops.columns import Worker
from ops.initialise import initialise
from ops.weights import WeightsRef

Workers = Callable[..., Worker]


def resnet(path: str | Path | None = None, **fields: Any) -> CifarResnet:
    reference = WeightsRef(untrained=0) if path is None else WeightsRef(path=str(path))
    settings = {"depth": 8, "shortcut": "A", "input": "imagenet"} | fields
    return CifarResnet.model_validate({"weights": reference, **settings})


@pytest.fixture(scope="session")
def data() -> Path:
    folder = os.environ.get("DIFFSMOOTH_DATA")
    if folder is None or not Path(folder).is_dir():
        pytest.skip(f"DIFFSMOOTH_DATA needs to name a folder of data; it is {folder!r}")
    return Path(folder)


@pytest.fixture(scope="session")
def photos(data: Path) -> tuple[torch.Tensor, torch.Tensor]:
    table = pq.read_table(data / "cifar10/test.parquet").slice(0, 300)
    pictures = [
        np.asarray(Image.open(io.BytesIO(row["bytes"])))
        for row in table["img"].to_pylist()
    ]
    image = torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2) / 255
    return image, torch.tensor(table["label"].to_pylist())


@torch.no_grad()
@pytest.mark.parametrize(
    ("pattern", "depth", "least"),
    [("resnet56-*.th", 56, 0.80), ("resnet20_gauss000.pt", 20, 0.85)],
)
def test_published_weights_recognise_photographs(  # noqa: PLR0913 - three fixtures and a table of three columns
    data: Path,
    photos: tuple[torch.Tensor, torch.Tensor],
    worker: Workers,
    pattern: str,
    depth: int,
    least: float,
) -> None:
    (path,) = (data / "weights/cifar10").glob(pattern)
    image, label = photos
    logits = resnet(path, depth=depth).open(worker())(image)
    assert (logits.argmax(1) == label).float().mean() >= least


def test_file_trained_behind_another_input_layer_is_refused(
    data: Path, worker: Workers
) -> None:
    path = data / "weights/cifar10/resnet20_gauss025.pt"
    with pytest.raises(ValueError, match=r"input layer needs mean \(0.485"):
        resnet(path, depth=20, input="cifar10").open(worker())


@pytest.mark.parametrize(
    ("depth", "shortcut", "num_parameters"),
    [
        (20, "A", 269_722),
        (56, "A", 853_018),
        (110, "A", 1_727_962),
        (110, "B", 1_730_714),
    ],
)
def test_numbers_of_parameters_are_the_published_ones(
    depth: int, shortcut: str, num_parameters: int
) -> None:
    network = resnet(depth=depth, shortcut=shortcut).network()
    assert sum(part.numel() for part in network.parameters()) == num_parameters


def test_shortcut_settles_the_names_of_the_tensors() -> None:
    padded = resnet(shortcut="A").network().state_dict()
    learned = resnet(shortcut="B").network().state_dict()
    assert learned.keys() - padded.keys() == {"fc.weight", "fc.bias"} | {
        f"layer{stage}.0.downsample.{name}"
        for stage in (2, 3)
        for name in (
            "0.weight",
            "1.weight",
            "1.bias",
            "1.running_mean",
            "1.running_var",
            "1.num_batches_tracked",
        )
    }
    assert padded.keys() - learned.keys() == {"linear.weight", "linear.bias"}


@torch.no_grad()
def test_block_that_adds_nothing_passes_every_other_pixel_between_zeros() -> None:
    network = resnet(shortcut="A").network().eval()
    for name, parameter in network.named_parameters():
        if ".bn2." in name:
            parameter.zero_()
    image = torch.rand(1, 3, 8, 8)
    conv1, bn1, layer1, layer2 = map(
        network.get_submodule, ("conv1", "bn1", "layer1", "layer2")
    )
    first = functional.relu(bn1(conv1(image)))
    passed = layer2(layer1(first))
    assert torch.equal(passed[:, 8:24], first[:, :, ::2, ::2])
    assert not passed[:, :8].any()
    assert not passed[:, 24:].any()


@torch.no_grad()
def test_bfloat16_returns_float32_logits_near_the_exact_ones(worker: Workers) -> None:
    image = torch.rand(4, 3, 32, 32)
    exact = resnet().open(worker())(image)
    rough = resnet().open(worker(torch.bfloat16))(image)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


@torch.no_grad()
def test_weights_of_a_file_without_step_counters_are_the_weights_used(
    worker: Workers, tmp_path: Path
) -> None:
    network = initialise(resnet(shortcut="B").network(), 5).eval()
    state = network.state_dict()
    old = {key: state[key] for key in state if "num_batches_tracked" not in key}
    write(tmp_path / "net.safetensors", old, {})
    image = torch.rand(2, 3, 32, 32)
    ours = resnet(tmp_path / "net.safetensors", shortcut="B", input="none").open(
        worker()
    )
    torch.testing.assert_close(ours(image), network(image))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shortcut": "B"}, r"has no 'layer2.0.downsample.0.weight' of shape \(32, 16"),
        ({"depth": 14}, r"has no 'layer1.1.conv1.weight' of shape \(16, 16, 3, 3\)"),
        ({"num_classes": 7}, r"'linear.weight' of shape \(10, 64\), not \(7, 64\)"),
    ],
)
def test_weights_of_another_network_are_refused_by_the_first_tensor(
    fields: dict[str, Any], message: str, worker: Workers, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    write(path, resnet().network().state_dict(), {})
    with pytest.raises(ValueError, match=message):
        resnet(path, **fields).open(worker())


def test_weights_of_a_deeper_network_are_refused_by_what_is_left_over(
    worker: Workers, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    write(path, resnet(depth=14).network().state_dict(), {})
    with pytest.raises(ValueError, match=r"has 'layer1.1.bn1.bias', which the network"):
        resnet(path).open(worker())


@pytest.mark.parametrize("depth", [2, 18, 22])
def test_depth_without_whole_blocks_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="needs a depth of 6n"):
        resnet(depth=depth)
