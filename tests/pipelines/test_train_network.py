from typing import Any

import pytest
import timm
import torch
from pydantic import TypeAdapter
from torch import nn

from ops.classify.timm import Timm
from ops.columns import Worker
from ops.initialise import initialise
from ops.weights import WeightsRef
from pipelines.train_network import Network, TimmNetwork

CPU = torch.device("cpu")
TIMM = "resnet18.tv_in1k"
KINDS: dict[str, dict[str, Any]] = {
    "digits_cnn": {},
    "cifar_resnet": {"depth": 8, "input": "none"},
    "timm": {"name": TIMM, "num_classes": 4},
    "dncnn": {"depth": 3, "width": 4},
}


def network_of(kind: str, **fields: Any) -> Any:
    given = {"kind": kind, **KINDS[kind], **fields}
    return TypeAdapter(Network).validate_python(given)


@pytest.mark.parametrize(
    ("kind", "shape", "outputs"),
    [
        ("digits_cnn", (2, 1, 8, 8), (2, 10)),
        ("cifar_resnet", (2, 3, 32, 32), (2, 10)),
        ("timm", (2, 3, 32, 32), (2, 4)),
        ("dncnn", (2, 3, 16, 16), (2, 3, 16, 16)),
    ],
)
def test_a_network_maps_images_to_what_its_kind_returns(
    kind: str, shape: tuple[int, ...], outputs: tuple[int, ...]
) -> None:
    described = network_of(kind)
    network = initialise(described.network(), 0).eval()

    assert described.predict(network, CPU)(torch.rand(shape)).shape == outputs


@pytest.mark.parametrize(
    ("kind", "trains"),
    [
        ("digits_cnn", "classifier"),
        ("cifar_resnet", "classifier"),
        ("timm", "classifier"),
        ("dncnn", "denoiser"),
    ],
)
def test_a_network_says_what_it_is_trained_as(kind: str, trains: str) -> None:
    assert network_of(kind).trains == trains
    unet = TypeAdapter(Network).validate_python({"kind": "unet", "settings": {}})
    assert unet.trains == "diffusion"


@torch.no_grad()
def test_a_timm_network_trains_on_what_the_classifier_will_see() -> None:
    described = network_of("timm")
    network = initialise(described.network(), 3).eval()
    image = torch.rand(2, 3, 40, 40)

    trained = described.predict(network, CPU)(image)

    classifier = Timm(weights=WeightsRef(untrained=3), name=TIMM, num_classes=4)
    scores = classifier.open(Worker(CPU))(image)
    assert scores.std() > 0
    torch.testing.assert_close(
        trained, scores, rtol=1e-4, atol=1e-4 * scores.abs().max().item()
    )


def test_a_timm_network_without_a_tag_is_refused() -> None:
    with pytest.raises(ValueError, match="name with its tag"):
        network_of("timm", name="resnet18")


def drop_chances(network: nn.Module) -> list[float]:
    layers = [layer for layer in network.modules() if hasattr(layer, "drop_prob")]
    return [float(getattr(layer, "drop_prob") or 0.0) for layer in layers]  # noqa: B009 - a module's attribute has no type


def test_the_last_branch_rests_as_often_as_asked_and_never_otherwise() -> None:
    resting = drop_chances(network_of("timm", drop_path=0.2).network())

    assert max(resting) == pytest.approx(0.2)
    assert resting == sorted(resting)
    assert not any(drop_chances(network_of("timm").network()))


def test_resting_branches_change_no_tensor() -> None:
    resting = network_of("timm", drop_path=0.2).network().state_dict()
    plain = timm.create_model(TIMM, num_classes=4).state_dict()

    assert {key: tensor.shape for key, tensor in resting.items()} == {
        key: tensor.shape for key, tensor in plain.items()
    }


def test_a_network_without_branches_cannot_let_them_rest() -> None:
    network = TimmNetwork(name="vgg11.tv_in1k", num_classes=4, drop_path=0.1)

    with pytest.raises(ValueError, match=r"vgg11\.tv_in1k has none"):
        network.network()
