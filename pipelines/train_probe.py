"""What is measured of a network on the way: accuracy under noise, and certified."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ops.certify.clopper_pearson import lower_bound_probability
from ops.losses.learner import Learner
from ops.losses.minibatch import Minibatch
from ops.noise import gaussian, noise_key
from ops.purify.purifying import Purify
from pipelines.train_parts import Probe
from pipelines.train_recipe import TrainRecipe
from pipelines.train_step import Loss

RADII = (0.0, 0.5, 1.0)
"""Radii of the certified accuracies that are logged, in multiples of sigma."""

_PIXELS_AT_ONCE = 6_000_000
"""In the copies of one call, at most."""


@torch.no_grad()
def measured(
    recipe: TrainRecipe,
    average: nn.Module,
    batch: Minibatch,
    loss: Loss,
    purify: Purify | None = None,
) -> dict[str, float]:
    """Return what a probe finds of the averaged network, in evaluation mode.

    A classifier is asked for its votes on noisy copies; a network of another kind for
    its loss.

    Args:
        recipe: with a probe.
        average: the network, on the device of the images.
        batch: the probe's images, with noise that is the same at every probe.
        loss: of the recipe's objective.
        purify: what stands before the classifier, if the objective has a purifier.

    Returns:
        Shares and radii by the names under which MLflow gets them.
    """
    assert recipe.probe is not None  # the caller looked
    training = average.training
    average.eval()
    predict = recipe.network.predict(average, batch.image.device)
    try:
        if recipe.network.trains != "classifier":
            learner = Learner(predict, average, predict, target=predict)
            return {"probe.loss": loss(learner, batch).item()}
        said = recipe.objective.said()
        sigma = said.get("purified_sigma", said["sigma_train"])
        scores = predict if purify is None else _behind(purify, predict, recipe.seed)
        return _of_classifier(scores, batch, recipe.probe, sigma)
    finally:
        average.train(training)


def _behind(
    purify: Purify, predict: Callable[..., torch.Tensor], seed: int
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the scores of a copy's first purified image.

    Each copy draws noise of its own, by its place among all that were ever scored.
    """
    scored = 0

    def scores(noisy: torch.Tensor) -> torch.Tensor:
        nonlocal scored
        first, num, shape = scored, len(noisy), tuple(noisy.shape[1:])
        scored += num

        def draw(stream: str) -> torch.Tensor:
            key = noise_key(seed, 0.0, "probe", stream, 0)
            return gaussian(key, first, num, shape, noisy.device)

        purified = purify(noisy, draw)
        return predict(purified[:: len(purified) // len(noisy)])

    return scores


def _of_classifier(
    predict: Callable[..., torch.Tensor], batch: Minibatch, probe: Probe, sigma: float
) -> dict[str, float]:
    votes = votes_of(predict, batch, probe.num_select + probe.num_estimate, sigma)
    label = batch.label.cpu().numpy()[:, np.newaxis]
    found = {"probe.accuracy_under_noise": float((votes == label).mean())}
    if sigma == 0:
        return found
    radius = _radii(votes, label[:, 0], probe, sigma)
    found |= {
        f"probe.certified_accuracy_{share * sigma:g}": float(
            (radius >= share * sigma).mean()
        )
        for share in RADII
    }
    return {**found, "probe.average_certified_radius": float(radius.clip(0).mean())}


def _radii(
    votes: np.ndarray, label: np.ndarray, probe: Probe, sigma: float
) -> np.ndarray:
    """Return certified radii of images that are right; -1 of the others."""
    from scipy.special import ndtri

    guessed = np.array([np.bincount(row[: probe.num_select]).argmax() for row in votes])
    estimate = votes[:, probe.num_select :]
    num_votes = (estimate == guessed[:, np.newaxis]).sum(axis=1)
    lower = lower_bound_probability(
        num_votes,
        np.full_like(num_votes, probe.num_estimate),
        failure_probability=probe.failure_probability,
    )
    certified = (lower > 0.5) & (guessed == label)
    return np.where(certified, sigma * ndtri(lower), -1.0)


def votes_of(
    predict: Callable[..., torch.Tensor], batch: Minibatch, num: int, sigma: float
) -> np.ndarray:
    """Return the classes that noisy copies of some images get.

    Args:
        predict: images to class scores.
        batch: images and the noise that belongs to them.
        num: copies of each.
        sigma: std of the noise, in [0, 1] pixels.

    Returns:
        int64 ``image copy``.
    """
    together = max(1, _PIXELS_AT_ONCE // batch.image.numel())
    votes = []
    for first in range(0, num, together):
        indices = range(first, min(num, first + together))
        noise = [batch.gaussian(f"probe_{index}") for index in indices]
        copies = torch.cat([batch.image + sigma * each for each in noise])
        votes += predict(copies).argmax(dim=1).split(len(batch.image))
    return torch.stack(votes, dim=1).cpu().numpy()


def passes_between(recipe: TrainRecipe, num_images: int) -> int:
    """Return the steps of one pass over the data, the last of them perhaps shared."""
    return math.ceil(num_images / recipe.optimiser.batch)
