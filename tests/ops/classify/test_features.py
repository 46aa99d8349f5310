from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from ops.classify.cifar_resnet import CifarResnet
from ops.classify.digits_cnn import DigitsCnn
from ops.classify.ensemble import Ensemble
from ops.classify.features import open_embedding, open_features
from ops.classify.input_layer import InputLayer
from ops.classify.timm import Timm
from ops.columns import Worker
from ops.initialise import initialise
from ops.weights import WeightsRef

WORKER = Worker(torch.device("cpu"))
UNTRAINED = WeightsRef(untrained=0)
DIGITS = DigitsCnn(weights=UNTRAINED)
RESNET = CifarResnet(
    weights=UNTRAINED, depth=8, shortcut="A", input=InputLayer(kind="none")
)
TIMM = Timm(weights=UNTRAINED, name="resnet18.tv_in1k", num_classes=10)


def images(channels: int = 1, size: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, channels, size, size, generator=generator)


def test_the_last_features_and_the_head_give_the_scores() -> None:
    network: Any = initialise(DIGITS.network(), 0)
    norm, activation, flatten, head = network[7:]

    last = open_features(DIGITS, WORKER)(images())[-1]

    scores = head(flatten(activation(norm(last))))
    torch.testing.assert_close(scores, DIGITS.open(WORKER)(images()))


@pytest.mark.parametrize(
    ("classifier", "image", "num"),
    [
        (DIGITS, images(), 3),
        (RESNET, images(3, 32), 7),
        (TIMM, images(3, 32), 20),
    ],
    ids=["digits_cnn", "cifar_resnet", "timm"],
)
def test_every_convolution_tells(
    classifier: Any, image: torch.Tensor, num: int
) -> None:
    layers = open_features(classifier, WORKER)(image)

    assert len(layers) == num
    assert {layer.shape[0] for layer in layers} == {3}
    assert {layer.dim() for layer in layers} == {4}


def test_the_first_features_are_the_first_convolution_of_the_image() -> None:
    network: Any = initialise(DIGITS.network(), 0)

    first = open_features(DIGITS, WORKER)(images())[0]

    torch.testing.assert_close(first, network[0](images()))


def test_an_activation_in_place_changes_no_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def network(_: DigitsCnn) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(72, 2)
        )

    monkeypatch.setattr(DigitsCnn, "network", network)

    (features,) = open_features(DIGITS, WORKER)(images())

    assert features.min() < 0


@pytest.mark.parametrize(
    ("classifier", "image", "width"),
    [(DIGITS, images(), 192), (RESNET, images(3, 32), 64)],
    ids=["digits_cnn", "cifar_resnet"],
)
def test_the_last_layer_makes_the_scores_of_the_embedding(
    classifier: Any, image: torch.Tensor, width: int
) -> None:
    network = initialise(classifier.network(), 0)
    (head,) = [one for one in network.modules() if isinstance(one, nn.Linear)]

    embedding = open_embedding(classifier, WORKER)(image)

    assert embedding.shape == (3, width)
    scores = classifier.open(WORKER)(image)
    torch.testing.assert_close(head(embedding), scores)


@pytest.mark.parametrize("open_what", [open_features, open_embedding])
def test_gradients_reach_the_images_and_not_the_network(
    open_what: Callable[..., Any],
) -> None:
    image = images().requires_grad_()

    seen = open_what(DIGITS, WORKER)(image)

    last = seen[-1] if isinstance(seen, list) else seen
    (gradient,) = torch.autograd.grad(last.square().sum(), image)
    assert (gradient.flatten(1).norm(dim=1) > 0).all()


def test_rounding_of_the_network_leaves_features_float32() -> None:
    worker = Worker(torch.device("cpu"), precision=torch.bfloat16)

    assert open_features(DIGITS, worker)(images())[0].dtype == torch.float32
    assert open_embedding(DIGITS, worker)(images()).dtype == torch.float32


@pytest.mark.parametrize("open_what", [open_features, open_embedding])
def test_an_ensemble_has_no_features(open_what: Callable[..., Any]) -> None:
    ensemble = Ensemble(members=(DIGITS, DIGITS))

    with pytest.raises(ValueError, match="is an ensemble of 2"):
        open_what(ensemble, WORKER)


@pytest.mark.parametrize(
    ("open_what", "layers", "said"),
    [
        (open_features, [nn.Flatten(), nn.Linear(64, 2)], "digits_cnn has none"),
        (open_embedding, [nn.Conv2d(1, 2, 8), nn.Flatten()], "digits_cnn has none"),
    ],
)
def test_a_network_without_such_layers_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    open_what: Callable[..., Any],
    layers: list[nn.Module],
    said: str,
) -> None:
    monkeypatch.setattr(DigitsCnn, "network", lambda _: nn.Sequential(*layers))

    with pytest.raises(ValueError, match=said):
        open_what(DIGITS, WORKER)


def test_a_head_of_maps_is_no_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DigitsCnn, "network", lambda _: nn.Sequential(nn.Linear(8, 2)))
    embed = open_embedding(DIGITS, WORKER)

    with pytest.raises(ValueError, match=r"is given \(3, 1, 8, 8\)"):
        embed(images())
