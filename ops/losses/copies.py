"""What a network says of several noisy copies of the same images."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float32, Int64
from torch.nn.functional import cross_entropy

from ops.attack.ascent import Goal

Images = Float32[torch.Tensor, "image channel height width"]
Scores = Float32[torch.Tensor, "copy image class"]


def scores_of_copies(
    network: Callable[..., torch.Tensor], image: Images, noises: Sequence[Images]
) -> Scores:
    """Return the class scores of every image under every noise.

    The network is called once, so that workers in parallel can share it and its batch
    norms see all copies together.

    Args:
        network: maps noisy images to class scores.
        image: pixels in [0, 1].
        noises: one for each copy, in [0, 1] pixels.

    Returns:
        Scores in float32, whatever the network computes in.
    """
    scores = network(torch.cat([image + noise for noise in noises])).float()
    return scores.unflatten(0, (len(noises), len(image)))


def mean_cross_entropy(
    scores: Scores, label: Int64[torch.Tensor, " image"]
) -> Float32[torch.Tensor, " image"]:
    """Return the mean over copies of their cross entropies, at least 0, in nats."""
    losses = cross_entropy(
        scores.flatten(0, 1), label.repeat(len(scores)), reduction="none"
    )
    return losses.view(len(scores), -1).mean(dim=0)


def log_mean_probability(scores: Scores) -> Float32[torch.Tensor, "image class"]:
    """Return the log of the mean over copies of their class probabilities.

    It stays finite where probabilities underflow.
    """
    log_probability = scores.log_softmax(dim=2)
    return log_probability.logsumexp(dim=0) - math.log(len(scores))


def smoothed_cross_entropy(
    scores: Scores, label: Int64[torch.Tensor, " image"]
) -> Float32[torch.Tensor, " image"]:
    """Return the cross entropy of the mean of the copies' probabilities, in nats."""
    log_probability = log_mean_probability(scores)
    return -log_probability.gather(1, label.unsqueeze(1)).squeeze(1)


def divergence(
    log_target: Float32[torch.Tensor, "image class"], scores: Scores
) -> Float32[torch.Tensor, " image"]:
    """Return the mean over copies of what a target diverges from their probabilities.

    Args:
        log_target: logs of probabilities; gradients flow through them, too.
        scores: of the copies.

    Returns:
        The mean of KL(target || copy), at least 0, in nats.
    """
    excess = log_target - scores.log_softmax(dim=2)
    return (log_target.exp() * excess).sum(dim=2).mean(dim=0)


def misclassified(
    network: Callable[..., torch.Tensor],
    label: Int64[torch.Tensor, " image"],
    noises: Sequence[Images],
) -> Goal:
    """Return the goal of an attack on the soft smoothed classifier.

    Args:
        network: maps noisy images to class scores, each image by itself.
        label: classes to lead away from.
        noises: one for each copy, in [0, 1] pixels, the same in all steps.

    Returns:
        A function of images, whose value is the cross entropy of the mean of the
        copies' probabilities; reached where that mean is highest for another class.

    Source:
        Salman et al. 2019, arXiv:1906.04584, section 2.2, with a sample mean.
    """

    def goal(
        image: Images,
    ) -> tuple[Float32[torch.Tensor, " image"], Bool[torch.Tensor, " image"]]:
        scores = scores_of_copies(network, image, noises)
        guess = log_mean_probability(scores).argmax(dim=1)
        return smoothed_cross_entropy(scores, label), guess != label

    return goal
