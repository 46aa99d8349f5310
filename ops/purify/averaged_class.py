"""A class-conditional network as one that is told no class."""

from ops.weights import Weights

TABLE = "class_embedding.weight"
BIAS = "time_embedding.linear_2.bias"


def without_classes(weights: Weights) -> Weights:
    """Return the weights of a network for which every class is the mean of all.

    UNet2DModel adds a class's embedding to that of the time, so the mean of all classes
    goes into the bias of the latter. The network returns what it returned when told the
    mean, to the last bits.

    Args:
        weights: of a class-conditional ``diffusers.UNet2DModel``.

    Raises:
        ValueError: it has no classes.
    """
    if TABLE not in weights.tensors:
        raise ValueError(
            f"start.average_classes needs a class-conditional network; "
            f"{weights.source} has no {TABLE!r}. Set start.average_classes to false."
        )
    tensors = dict(weights.tensors)
    mean = tensors.pop(TABLE).double().mean(dim=0)
    bias = tensors[BIAS]
    tensors[BIAS] = (bias.double() + mean).to(bias.dtype)
    return Weights(weights.source, tensors, weights.config)
