"""What a classifier sees of images on the way to its scores.

Gradients flow from everything here back to the images, never into the classifier.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from jaxtyping import Float32
from torch import nn

from ops.classify.classifier import Classifier
from ops.classify.ensemble import Ensemble
from ops.classify.logits import Images
from ops.columns import Worker
from ops.networks import place, to_network

Embedding = Float32[torch.Tensor, "copy feature"]


def open_features(
    classifier: Classifier, worker: Worker
) -> Callable[[Images], list[torch.Tensor]]:
    """Return the function from images to the outputs of all convolutions.

    Args:
        classifier: one network with convolutions.
        worker: where to compute, and what reads the weights.

    Returns:
        A function of float32 images in [0, 1], which noise may exceed. It returns
        float32 ``copy channel height width`` for each convolution, before norms and
        activations, in the order in which they are called.

    Raises:
        ValueError: the classifier is an ensemble, its weights do not fit, or it has no
            convolution.
    """
    network, call = _opened(classifier, worker)
    layers = [one for one in network.modules() if isinstance(one, nn.Conv2d)]
    if not layers:
        raise ValueError(
            f"Features need a classifier with convolutions; {_named(classifier)} has "
            f"none. Take another classifier."
        )

    def features(image: Images) -> list[torch.Tensor]:
        seen: list[torch.Tensor] = []

        def keep(_layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            # A copy, because an activation may overwrite what it is given.
            seen.append(output.clone().float())

        with _hooked(layer.register_forward_hook(keep) for layer in layers):
            call(image)
        return seen

    return features


def open_embedding(
    classifier: Classifier, worker: Worker
) -> Callable[[Images], Embedding]:
    """Return the function from images to what the last linear layer is given.

    Args:
        classifier: one network that ends in a linear layer.
        worker: where to compute, and what reads the weights.

    Returns:
        A function of float32 images in [0, 1], which noise may exceed, to float32
        features. It refuses a network whose last linear layer is given a map in place
        of one vector for each image.

    Raises:
        ValueError: the classifier is an ensemble, its weights do not fit, or it has no
            linear layer.
    """
    network, call = _opened(classifier, worker)
    layers = [one for one in network.modules() if isinstance(one, nn.Linear)]
    if not layers:
        raise ValueError(
            f"An embedding needs a classifier with a linear layer; "
            f"{_named(classifier)} has none. Take another classifier."
        )

    def embedding(image: Images) -> Embedding:
        seen: list[torch.Tensor] = []

        def keep(_layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            seen[:] = [inputs[0].float()]

        with _hooked(layer.register_forward_pre_hook(keep) for layer in layers):
            call(image)
        (last,) = seen
        if last.dim() != 2:
            raise ValueError(
                f"An embedding needs a classifier whose last linear layer is given one "
                f"vector for each image; that of {_named(classifier)} is given "
                f"{tuple(last.shape)}. Take another classifier."
            )
        return last

    return embedding


def _opened(
    classifier: Classifier, worker: Worker
) -> tuple[nn.Module, Callable[[Images], object]]:
    """Return a frozen network and the call that prepares images for it."""
    if isinstance(classifier, Ensemble):
        raise ValueError(
            f"Features need a classifier of one network; the classifier is an ensemble "
            f"of {len(classifier.members)}. Name one of its members."
        )
    network, prepare = classifier.filled(worker)
    # Not compiled: a compiled network calls no hooks.
    place(network, replace(worker, compiled=False))
    return network, lambda image: network(to_network(prepare(image), worker))


def _named(classifier: Classifier) -> str:
    return str(getattr(classifier, "name", classifier.kind))


@contextmanager
def _hooked(handles: Iterator[torch.utils.hooks.RemovableHandle]) -> Iterator[None]:
    """Take hooks off again, whatever happens between."""
    hooks = list(handles)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
