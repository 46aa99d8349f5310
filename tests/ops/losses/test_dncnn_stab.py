from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.initialise import initialise
from ops.losses.dncnn_clf import DenoiseClf
from ops.losses.dncnn_stab import DenoiseStab
from ops.losses.minibatch import Minibatch
from ops.purify.dncnn import ResidualDenoiser
from ops.weights import WeightsRef

CLASSIFIER = DigitsCnn(weights=WeightsRef(untrained=0))
WORKER = Worker(torch.device("cpu"))


@pytest.fixture
def batch() -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((16, 1, 8, 8), dtype=np.float32))
    return Minibatch(image, torch.zeros(16, dtype=torch.int64), seed=0, step=0)


@torch.no_grad()
def test_a_denoiser_that_takes_off_all_noise_costs_the_classifiers_own_doubt(
    batch: Minibatch,
) -> None:
    loss = DenoiseStab(sigma_train=0.3, classifier=CLASSIFIER).open(WORKER)

    restored = loss(lambda noisy: batch.image, batch)

    scores = CLASSIFIER.open(WORKER)(batch.image)
    doubt = cross_entropy(scores, scores.argmax(dim=1))
    assert doubt > 0.1
    torch.testing.assert_close(restored, doubt)


@torch.no_grad()
def test_labels_are_not_read(batch: Minibatch) -> None:
    loss = DenoiseStab(sigma_train=0.3, classifier=CLASSIFIER).open(WORKER)

    others = replace(batch, label=batch.label + 5)

    assert torch.equal(loss(torch.abs, batch), loss(torch.abs, others))


@torch.no_grad()
def test_it_is_training_to_the_label_where_the_classifier_is_right(
    batch: Minibatch,
) -> None:
    guess = CLASSIFIER.open(WORKER)(batch.image).argmax(dim=1)
    right = replace(batch, label=guess)

    by_guess, by_label = (
        kind(sigma_train=0.3, classifier=CLASSIFIER).open(WORKER)(torch.abs, right)
        for kind in (DenoiseStab, DenoiseClf)
    )

    assert torch.equal(by_guess, by_label)


def test_every_weight_of_the_denoiser_gets_a_gradient(batch: Minibatch) -> None:
    denoiser = initialise(ResidualDenoiser(3, 8, 1), 0)

    DenoiseStab(sigma_train=0.3, classifier=CLASSIFIER).open(WORKER)(
        denoiser, batch
    ).backward()

    for name, weight in denoiser.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name
