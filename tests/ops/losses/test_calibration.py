from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from calibration_made import CLASSIFIER, COSINE, objective, twelve_images
from pydantic import TypeAdapter
from torch import nn

from ops.columns import Worker
from ops.losses.calibration import brier_score
from ops.losses.ddpm import DdpmObjective
from ops.losses.minibatch import Minibatch
from ops.losses.objective import Objective
from ops.purify.one_shot import Prediction
from ops.purify.scheduler_settings import prediction_of, schedule_of
from ops.schedules import Schedule, timestep_of

WORKER = Worker(torch.device("cpu"))
PREDICTIONS: list[Prediction] = ["epsilon", "v", "x0"]


@pytest.fixture
def batch() -> Minibatch:
    return twelve_images()


def wavy(noised: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    return (3 * noised).sin() + timestep.view(-1, 1, 1, 1) / 1000


class Sighted:
    """A network that knows the images, hence what was mixed into each of their copies.

    ``wrong`` is added to the clean image it sees, in [0, 1] pixels.
    """

    def __init__(
        self, image: torch.Tensor, prediction: Prediction, wrong: float = 0.0
    ) -> None:
        self.signed, self.wrong = 2 * image - 1, 2 * wrong
        self.prediction = prediction
        self.alpha_bar = torch.from_numpy(COSINE.alpha_bar()).float()

    def __call__(self, noised: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        copies = len(noised) // len(self.signed)
        kept = self.alpha_bar[timestep].view(-1, 1, 1, 1)
        clean = self.signed.repeat(copies, 1, 1, 1) + self.wrong
        noise = (noised - kept.sqrt() * clean) / (1 - kept).sqrt()
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "v":
            return kept.sqrt() * noise - (1 - kept).sqrt() * clean
        return clean


class OneOf:
    """Timesteps of some sigmas, as an objective of plain denoising asks for them."""

    def __init__(self, *sigmas: float) -> None:
        rule = "first_from_zero"
        self.steps = torch.tensor([timestep_of(COSINE, s, rule) for s in sigmas])

    def timestep(self, uniform: torch.Tensor, schedule: Schedule) -> torch.Tensor:
        return self.steps[(len(self.steps) * uniform).long()]


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_without_the_brier_score_it_is_plain_denoising(
    batch: Minibatch, prediction: Prediction, *, weighted: bool
) -> None:
    if weighted:
        batch = replace(batch, weight=batch.uniform("weight"))
    plain = DdpmObjective(schedule=COSINE, prediction=prediction)
    plain = plain.model_copy(update={"timesteps": OneOf(0.25, 0.5, 1.0)})

    found = objective(prediction=prediction, brier_weight=0.0).open(WORKER)

    torch.testing.assert_close(found(wavy, batch), plain.loss(wavy, batch))


@pytest.mark.parametrize("copies", [1, 3])
def test_the_brier_score_grows_the_loss_by_its_weight(
    batch: Minibatch, copies: int
) -> None:
    none, one, two = (
        objective(brier_weight=weight, num_copies=copies).open(WORKER)(wavy, batch)
        for weight in (0.0, 1.0, 2.0)
    )

    assert one > none + 0.1
    torch.testing.assert_close(two - none, 2 * (one - none), rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_denoiser_that_sees_the_image_leaves_the_classifiers_own_score(
    batch: Minibatch, prediction: Prediction
) -> None:
    loss = objective(prediction=prediction, num_copies=2).open(WORKER)

    found = loss(Sighted(batch.image, prediction), batch)

    own = brier_score(CLASSIFIER.open(WORKER)(batch.image)[None], batch.label)
    torch.testing.assert_close(found, own.mean(), rtol=1e-4, atol=1e-5)


class Sure:
    """A classifier that reads the class off the first pixel, a tenth for each."""

    def open(self, worker: Worker) -> Callable[[torch.Tensor], torch.Tensor]:
        def scores(image: torch.Tensor) -> torch.Tensor:
            place = (10 * image[:, 0, 0, 0]).round().long().clamp(0, 9)
            return 100.0 * nn.functional.one_hot(place, 10).float()

        return scores


@torch.no_grad()
@pytest.mark.parametrize(("wrong", "expected"), [(0.0, 0.0), (0.2, 2.0)])
def test_a_sure_classifier_costs_nothing_if_right_and_two_if_wrong(
    batch: Minibatch, wrong: float, expected: float
) -> None:
    label = batch.label % 8
    image = batch.image.clone()
    image[:, 0, 0, 0] = label / 10
    batch = replace(batch, image=image, label=label)
    told = objective(prediction="x0", num_copies=2, clip=False)
    loss = told.model_copy(update={"classifier": Sure()}).open(WORKER)

    found = loss(Sighted(image, "x0", wrong), batch)

    assert found.item() == pytest.approx((2 * wrong) ** 2 + expected, abs=1e-5)


def test_an_image_counts_as_much_as_its_weight(batch: Minibatch) -> None:
    loss = objective(num_copies=2).open(WORKER)
    weight = torch.linspace(0.0, 2.0, len(batch.image))
    each = torch.stack([loss(wavy, part) for part in batch.parts(len(batch.image))])

    found = loss(wavy, replace(batch, weight=weight))

    torch.testing.assert_close(found, (weight * each).mean(), rtol=1e-4, atol=1e-5)


def test_every_sigma_is_met_as_often_as_every_other() -> None:
    sigmas, num = (0.25, 0.5, 1.0), 3000
    image = torch.zeros(num, 1, 1, 1)
    batch = Minibatch(image, torch.zeros(num, dtype=torch.int64), seed=0, step=0)
    met: list[torch.Tensor] = []

    def network(noised: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        met.append(timestep)
        return noised

    objective(sigma=sigmas, brier_weight=0.0).open(WORKER)(network, batch)

    found, counts = met[0].unique(return_counts=True)
    expected = [timestep_of(COSINE, sigma, "first_from_zero") for sigma in sigmas]
    assert found.tolist() == expected
    slack = 4 * (num * 2 / 9) ** 0.5  # four standard errors
    assert (counts - num / 3).abs().max() < slack


def test_a_learned_variance_is_not_read_and_is_published(batch: Minibatch) -> None:
    told = objective(learned_sigma=True)

    def twice(noised: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return torch.cat([wavy(noised, timestep), 1e6 * noised], dim=1)

    assert torch.equal(
        told.open(WORKER)(twice, batch), objective().open(WORKER)(wavy, batch)
    )
    assert told.scheduler()["variance_type"] == "learned_range"
    with pytest.raises(ValueError, match=r"returns 2 channels for images of 1"):
        told.open(WORKER)(wavy, batch)


def test_what_it_publishes_tells_schedule_prediction_and_sigmas() -> None:
    told = objective(prediction="v", brier_weight=0.5)

    assert schedule_of(told.scheduler(), "test") == COSINE
    assert prediction_of(told.scheduler(), "test") == "v"
    assert told.said() == {
        "objective": "calibration",
        "prediction": "v",
        "calibrated_sigma": [0.25, 0.5, 1.0],
        "brier_weight": 0.5,
    }


def test_a_recipe_names_it_by_its_kind() -> None:
    told = objective()

    assert TypeAdapter(Objective).validate_python(told.model_dump()) == told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sigma": ()}, "at least 1 item"),
        ({"sigma": (0.25, 0.0)}, "greater than 0"),
        ({"brier_weight": -1.0}, "greater than or equal to 0"),
        (
            {
                "schedule": Schedule(
                    kind="linear", num_timesteps=10, beta_start=1e-4, beta_end=0.02
                )
            },
            "sigma above 0 and up to 0.16.*; sigma is 0.25",
        ),
    ],
)
def test_what_no_training_could_use_is_refused(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        objective(**changes)
