"""A small convolutional network for the 8 x 8 digits."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, Field
from torch import nn

from ops.classify.arch import require_arch
from ops.classify.input_layer import InputLayer
from ops.classify.logits import Images, Logits, open_logits
from ops.columns import Worker
from ops.networks import fill, read_weights
from ops.weights import WeightsRef

GROUPS = 8


class DigitsCnn(BaseModel, frozen=True, extra="forbid"):
    """Three convolutions and a linear layer for grey images of 8 x 8 pixels.

    Its norms look at one image at a time, so that a class never depends on what else is
    in the batch, in training as little as later.
    """

    kind: Literal["digits_cnn"] = "digits_cnn"

    weights: WeightsRef
    """Weights of the network."""

    input: InputLayer = InputLayer(kind="none")
    """What happens to the pixels first."""

    num_classes: Annotated[int, Field(ge=2)] = 10
    """Classes it tells apart."""

    def open(self, worker: Worker) -> Callable[[Images], Logits]:
        """Load the network and return the classifying function.

        Args:
            worker: where to compute, and what reads the weights.

        Returns:
            A function from float32 images to float32 logits.

        Raises:
            ValueError: the weights do not fit, or their file names another network or
                input layer.
        """
        return open_logits(*self.filled(worker), worker)

    def filled(self, worker: Worker) -> tuple[nn.Module, Callable[[Images], Images]]:
        """Return the network with its weights, and what comes before it.

        Args:
            worker: what reads the weights, and where the images are.

        Raises:
            ValueError: the weights do not fit, or their file names another network or
                input layer.
        """
        weights = read_weights(self.weights, worker)
        require_arch(weights, {"kind": self.kind})
        self.input.require_said_by(weights.config, weights.source)
        network = fill(self.network(), self.weights, weights)
        return network, self.input.open(worker.device)

    def network(self) -> nn.Module:
        """Return the network behind the input layer, its weights not set."""
        return nn.Sequential(
            *_layer(1, 32, stride=1),
            *_layer(32, 32, stride=2),
            *_layer(32, 48, stride=2),
            nn.Flatten(),
            nn.Linear(48 * 2 * 2, self.num_classes),
        )


def _layer(inputs: int, outputs: int, *, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1),
        nn.GroupNorm(GROUPS, outputs),
        nn.ReLU(),
    )
