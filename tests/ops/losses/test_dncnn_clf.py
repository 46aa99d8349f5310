import numpy as np
import pytest
import torch

from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.initialise import initialise
from ops.losses.dncnn_clf import DenoiseClf, denoised_loss
from ops.losses.gaussian import GaussianObjective
from ops.losses.minibatch import Minibatch
from ops.purify.dncnn import ResidualDenoiser
from ops.weights import WeightsRef

CLASSIFIER = DigitsCnn(weights=WeightsRef(untrained=0))
WORKER = Worker(torch.device("cpu"))


@pytest.fixture
def batch() -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((16, 1, 8, 8), dtype=np.float32))
    return Minibatch(image, torch.from_numpy(rng.integers(0, 10, 16)), seed=0, step=0)


def test_a_denoiser_that_changes_nothing_costs_what_gaussian_noise_does(
    batch: Minibatch,
) -> None:
    loss = DenoiseClf(sigma_train=0.3, classifier=CLASSIFIER).open(WORKER)
    classify = CLASSIFIER.open(WORKER)

    denoised = loss(lambda noisy: noisy, batch)

    plain = GaussianObjective(sigma_train=0.3).loss(classify, batch)
    assert torch.equal(denoised, plain)


def test_the_denoiser_learns_through_a_classifier_that_stays(batch: Minibatch) -> None:
    classifier = initialise(CLASSIFIER.network(), 0).requires_grad_(False)
    denoiser = initialise(ResidualDenoiser(3, 8, 1), 0)

    denoised_loss(
        denoiser, classifier, batch.image, batch.label, 0.3 * batch.gaussian("noise")
    ).mean().backward()

    assert all(weight.grad is None for weight in classifier.parameters())
    for name, weight in denoiser.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


def test_a_classifier_that_was_opened_passes_gradients_on(batch: Minibatch) -> None:
    denoiser = initialise(ResidualDenoiser(3, 8, 1), 0)
    loss = DenoiseClf(sigma_train=0.3, classifier=CLASSIFIER).open(WORKER)

    loss(denoiser, batch).backward()

    assert all(
        weight.grad is not None and weight.grad.abs().max() > 0
        for weight in denoiser.parameters()
    )
