"""Whole pipelines whose radius is known: linear classifiers, and Gaussian data."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import root_scalar
from scipy.special import expit

from ops.certify.fixed import CertifyFixed
from ops.columns import Worker
from ops.noise import Distribution
from ops.purify.nothing import Nothing
from ops.purify.one_shot import denoise
from ops.purify.purify import Purify
from ops.purify.purifying import Draw
from ops.schedules import Schedule, timestep_of
from ops.vote.add_noise import AddNoise
from ops.vote.count_votes import CountVotes
from ops.vote.local_noise import Local
from ops.vote.local_smooth import LocalSmooth, smoothed_votes

SHAPE = (1, 4, 4)
SIGMA = 0.25
BLOCK = 1_000
FAILURE_PROBABILITY = 0.01
WORKER = Worker(torch.device("cpu"), batch=10 * BLOCK)
PLAIN = Local(sigma=0.0, num=1)
GENERATOR = np.random.default_rng(0)
WEIGHT = torch.tensor(GENERATOR.normal(0, 1, 16)).float()
IMAGES = torch.tensor(GENERATOR.random((200, *SHAPE))).float()
OFFSET = -float((IMAGES.flatten(1) @ WEIGHT).mean())
Images = torch.Tensor


class Linear:
    """Two classes: logits 0 and ``w x + b``."""

    def __init__(self, weight: torch.Tensor, offset: float) -> None:
        self.weight, self.offset = weight, offset

    def score(self, image: Images) -> torch.Tensor:
        return image.flatten(1) @ self.weight + self.offset

    def open(self, worker: Worker) -> Callable[[Images], torch.Tensor]:
        def classify(image: Images) -> torch.Tensor:
            score = self.score(image)
            return torch.stack([torch.zeros_like(score), score], dim=1)

        return classify


class Spy(Linear):
    """The same, and it keeps the scores of what it is shown."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__(weight, 0.0)
        self.scores: list[float] = []

    def score(self, image: Images) -> torch.Tensor:
        self.scores += super().score(image).tolist()
        return super().score(image)


class GaussianPosterior:
    """The perfect denoiser of data that is normal around a mean, in signed pixels.

    Its network returns the mean of the noise given the diffused image: with
    ``x = sqrt(a) z + sqrt(1 - a) noise`` that is
    ``sqrt(1 - a) (x - sqrt(a) mean) / (a std^2 + 1 - a)``.
    """

    schedule = Schedule(kind="cosine", num_timesteps=4000)

    def __init__(self, mean: float, std: float) -> None:
        self.mean, self.std = mean, std

    samples_per_copy = 1

    def open_with_noise(
        self, worker: Worker, sigma: float
    ) -> Callable[[Images, Draw], Images]:
        timestep = timestep_of(self.schedule, sigma, "first_from_zero")
        alpha_bar = float(self.schedule.alpha_bar()[timestep])

        def predict(diffused: Images) -> Images:
            variance = alpha_bar * self.std**2 + 1 - alpha_bar
            centred = diffused - math.sqrt(alpha_bar) * self.mean
            return math.sqrt(1 - alpha_bar) * centred / variance

        return lambda noisy, draw: denoise(
            noisy, predict, alpha_bar=alpha_bar, prediction="epsilon", clip=False
        )


def certificates(
    classifier: Linear,
    local: Local = PLAIN,
    purifier: Any = None,
    images: Images = IMAGES,
) -> dict[str, np.ndarray]:
    """Certify images by one block of votes to guess and ten to estimate."""
    ops = (
        AddNoise(sigma=SIGMA, seed=1, block=BLOCK),
        Purify.model_construct(purifier=purifier or Nothing(), sigma=SIGMA, seed=0),
        LocalSmooth.model_construct(
            classifier=classifier, local=local, sigma=SIGMA, seed=1
        ),
        CountVotes(num_classes=2),
    )
    functions = [op.open(WORKER) for op in ops]
    histograms: dict[str, list[np.ndarray]] = {}
    for index, image in enumerate(images):
        for stream, num_blocks in (("select", 1), ("estimate", 10)):
            columns: dict[str, Any] = {
                "image": image.expand(num_blocks, *SHAPE),
                "image_key": [str(index)] * num_blocks,
                "stream": [stream] * num_blocks,
                "block": range(num_blocks),
            }
            for function in functions:
                columns |= function(columns)
            for name, column in (("votes", "counts"), ("invalid", "invalid")):
                total = columns[column].sum(dim=0).numpy()
                histograms.setdefault(f"{name}_{stream}", []).append(total)
    batch = {name: np.stack(rows) for name, rows in histograms.items()}
    rule = CertifyFixed(sigma=SIGMA, failure_probability=FAILURE_PROBABILITY)
    return dict(rule.open(WORKER)(batch))


def require_certified(certified: dict[str, np.ndarray], score: np.ndarray) -> None:
    """Check radii against the distance from the boundary, whose sign is the class."""
    radius, distance = certified["radius"], abs(score)
    right = certified["guessed_class"] == (score > 0)
    too_large = (radius > np.where(right, distance, 0.0)).sum()
    num = len(score)
    # Four standard errors above the promise.
    assert too_large <= num * FAILURE_PROBABILITY + 4 * math.sqrt(
        num * FAILURE_PROBABILITY
    )
    # Between 0.8 and 1.8 sigma, the bound (2.3 standard errors) and four more take
    # 15 % at most.
    clear = abs(distance - 1.3 * SIGMA) < 0.5 * SIGMA
    assert clear.sum() > 40
    assert right[clear].all()
    assert (radius[clear] > 0.85 * distance[clear]).all()
    assert (certified["num_draws"] == 10 * BLOCK).all()


def test_linear_classifier_is_certified_to_its_distance() -> None:
    """Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918: ``|w x + b| / |w|``."""
    classifier = Linear(WEIGHT, OFFSET)
    distance = classifier.score(IMAGES) / WEIGHT.norm()
    require_certified(certificates(classifier), distance.numpy())


def test_perfect_denoiser_of_gaussian_data_is_certified_to_its_distance() -> None:
    """``|w (v^2 z + s^2 mu) + b (v^2 + s^2)| / (2 v^2 |w|)`` in [0, 1] pixels.

    ``z`` is the image in [-1, 1], ``mu`` and ``v`` mean and std of the data, ``s`` the
    noise there, and the classifier ``w . + b`` reads the denoised image there.
    """
    mean, std, noise = 0.2, 0.4, 2 * SIGMA
    # Far from grey, where a wrong scale before the network would go unseen.
    images, weight = IMAGES.sqrt(), WEIGHT.abs()
    signed = 2 * images - 1
    lift = std**2 + noise**2
    posterior = (std**2 * signed + noise**2 * mean) / lift
    offset = -float((posterior.flatten(1) @ weight).mean())
    # The same function of the purified image in [0, 1].
    classifier = Linear(2 * weight, offset - float(weight.sum()))

    score = (std**2 * signed + noise**2 * mean).flatten(1) @ weight + offset * lift
    distance = score / (2 * std**2 * weight.norm())
    purifier = GaussianPosterior(mean, std)
    certified = certificates(classifier, purifier=purifier, images=images)
    require_certified(certified, distance.numpy())


def smooth(classifier: Linear, local: Local, image: Images) -> torch.Tensor:
    """Return the votes of purified copies, one call of the classifier per noise."""
    op = LocalSmooth.model_construct(
        classifier=classifier, local=local, sigma=SIGMA, seed=1, early_exit=False
    )
    worker = Worker(torch.device("cpu"), batch=len(image))
    batch = {"image_key": ["a"], "stream": ["select"], "block": [0]}
    return op.open(worker)({**batch, "purified": image[None]})["vote"][0]


def threshold_of(local: Local) -> float:
    """Return the score at which the mean confidence over the fixed noises is a half."""
    spy = Spy(WEIGHT)
    smooth(spy, local, torch.zeros(1, *SHAPE))
    assert len(set(spy.scores)) == local.num
    around = np.array(spy.scores)
    half = root_scalar(lambda u: expit(u + around).mean() - 0.5, bracket=(-50, 50))
    return float(half.root)


@pytest.mark.parametrize("num", [1, 2, 5, 10])
@pytest.mark.parametrize(
    "distribution", ["gaussian", "uniform", "laplace", "rademacher"]
)
def test_local_smoothing_moves_a_linear_boundary_to_where_confidences_balance(
    num: int, distribution: Distribution
) -> None:
    """The threshold ``u`` solves ``mean_j sigmoid(u + w noise_j) = 1/2``."""
    local = Local(sigma=0.5, num=num, distribution=distribution)
    threshold = threshold_of(local)
    assert abs(threshold) > 0.01
    scores = threshold + torch.linspace(-3, 3, 1_000)
    along = (WEIGHT / WEIGHT.square().sum()).view(SHAPE)
    vote = smooth(Linear(WEIGHT, 0.0), local, scores.view(-1, 1, 1, 1) * along)
    clear = (scores - threshold).abs() > 1e-4
    assert torch.equal(vote[clear], (scores > threshold).long()[clear])


def test_locally_smoothed_classifier_is_certified_to_its_moved_boundary() -> None:
    """DiffSmooth without a denoiser, arXiv:2308.14333: ``|w x + b - u| / |w|``."""
    local = Local(sigma=0.5, num=5)
    threshold = threshold_of(local)
    classifier = Linear(WEIGHT, OFFSET)
    distance = (classifier.score(IMAGES) - threshold) / WEIGHT.norm()
    assert abs(threshold) / WEIGHT.norm() > 0.1 * SIGMA
    require_certified(certificates(classifier, local), distance.numpy())


@pytest.mark.parametrize("early_exit", [False, True])
def test_noises_in_opposite_pairs_leave_a_linear_boundary_where_it_is(
    early_exit: bool,
) -> None:
    half = torch.tensor(GENERATOR.normal(0, 0.5, (3, *SHAPE))).float()
    bank = torch.cat([half, -half])
    copies = torch.tensor(GENERATOR.normal(0, 1, (2_000, *SHAPE))).float()
    classifier = Linear(WEIGHT, 0.0)
    vote = smoothed_votes(
        classifier.open(WORKER),
        copies,
        lambda index, wanted: bank[index].expand(len(wanted), *SHAPE),
        num_local=6,
        early_exit=early_exit,
    )
    score = classifier.score(copies)
    clear = score.abs() > 1e-4
    assert torch.equal(vote[clear], (score > 0).long()[clear])
