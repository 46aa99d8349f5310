import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from ops.losses.ddpm import (
    DdpmObjective,
    LogUniformSigma,
    UniformTimestep,
    clean_error_of,
    diffuse,
    target_of,
)
from ops.losses.gaussian import GaussianObjective
from ops.losses.minibatch import Minibatch
from ops.losses.objective import Objective
from ops.losses.variational_bound import variational_bound
from ops.purify.one_shot import Prediction, clean_of
from ops.schedules import Schedule, sigma_signed_of

COSINE = Schedule(kind="cosine", num_timesteps=1000)
LEVELS = LogUniformSigma(sigma_low=0.05, sigma_high=2.0)
PREDICTIONS: list[Prediction] = ["epsilon", "v", "x0"]


def drawn(num: int) -> Minibatch:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((num, 1, 4, 4), dtype=np.float32))
    return Minibatch(image, torch.zeros(num, dtype=torch.int64), seed=0, step=0)


class Oracle:
    """A network that knows the images, hence what was mixed into them."""

    def __init__(self, image: torch.Tensor, prediction: Prediction) -> None:
        self.signed = 2 * image - 1
        self.prediction: Prediction = prediction
        self.alpha_bar = torch.from_numpy(COSINE.alpha_bar()).float()

    def __call__(self, noised: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        kept = self.alpha_bar[timestep].view(-1, 1, 1, 1)
        noise = (noised - kept.sqrt() * self.signed) / (1 - kept).sqrt()
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "v":
            return kept.sqrt() * noise - (1 - kept).sqrt() * self.signed
        return self.signed


def silent(noised: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(noised)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_network_that_knows_the_image_costs_nothing(prediction: Prediction) -> None:
    batch = drawn(16)

    objective = DdpmObjective(schedule=COSINE, timesteps=LEVELS, prediction=prediction)
    loss = objective.loss(Oracle(batch.image, prediction), batch)

    assert loss.item() < 1e-9


def test_predicting_no_noise_costs_its_variance() -> None:
    batch = drawn(2000)

    loss = DdpmObjective(schedule=COSINE).loss(silent, batch)

    slack = 4 * math.sqrt(2 / batch.image.numel())  # four standard errors
    assert abs(loss.item() - 1.0) < slack


@pytest.mark.parametrize(("prediction", "share"), [("x0", 1.0), ("v", 0.5)])
def test_predicting_nothing_costs_the_square_of_the_target(
    prediction: Prediction, share: float
) -> None:
    batch = drawn(2000)
    noise = batch.gaussian("noise")
    square = (2 * batch.image - 1).square().mean().item()

    loss = DdpmObjective(schedule=COSINE, prediction=prediction).loss(silent, batch)

    # Half of a velocity's variance is noise, on the average over a cosine's timesteps.
    expected = share * square + (1 - share) * noise.square().mean().item()
    slack = 4 * math.sqrt(2 / batch.image.numel()) + 4 * 0.36 / math.sqrt(2000)
    assert abs(loss.item() - expected) < slack


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("timestep", [0, 300, 900])
def test_the_exact_target_is_what_a_purifier_turns_to_the_clean_image(
    prediction: Prediction, timestep: int
) -> None:
    batch = drawn(4)
    signed, noise = 2 * batch.image - 1, batch.gaussian("noise")
    alpha_bar = float(COSINE.alpha_bar()[timestep])
    kept = torch.full((4, 1, 1, 1), alpha_bar)

    clean = clean_of(
        diffuse(signed, noise, kept),
        target_of(signed, noise, kept, prediction),
        alpha_bar=alpha_bar,
        prediction=prediction,
    )

    torch.testing.assert_close(clean, signed, atol=1e-5, rtol=0)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_an_error_of_the_output_is_an_error_of_the_purified_image(
    prediction: Prediction,
) -> None:
    batch = drawn(4)
    signed, noise, alpha_bar = 2 * batch.image - 1, batch.gaussian("noise"), 0.3
    kept, error = torch.full((4, 1, 1, 1), alpha_bar), batch.gaussian("error")
    output = target_of(signed, noise, kept, prediction) + error

    clean = clean_of(
        diffuse(signed, noise, kept), output, alpha_bar=alpha_bar, prediction=prediction
    )

    found = clean_error_of(error, kept, prediction)
    torch.testing.assert_close(found, signed - clean, atol=1e-5, rtol=1e-5)


def test_images_of_weight_0_teach_nothing() -> None:
    batch = drawn(8)
    first = torch.arange(8) < 4
    weighted = replace(batch, weight=2.0 * first)

    loss = DdpmObjective(schedule=COSINE).loss(silent, weighted)

    alone = replace(batch, image=batch.image[:4], label=batch.label[:4])
    expected = DdpmObjective(schedule=COSINE).loss(silent, alone)
    assert loss.item() == pytest.approx(expected.item())


def test_a_learned_variance_gives_the_prediction_no_other_gradient() -> None:
    batch = drawn(8)
    output = batch.gaussian("output").repeat(1, 2, 1, 1).requires_grad_()

    plain = DdpmObjective(schedule=COSINE).loss(lambda noised, _: output[:, :1], batch)
    hybrid = DdpmObjective(schedule=COSINE, learned_sigma=True).loss(
        lambda noised, _: output, batch
    )
    (of_plain,) = torch.autograd.grad(plain, output)
    (of_hybrid,) = torch.autograd.grad(hybrid, output)

    assert torch.equal(of_hybrid[:, :1], of_plain[:, :1])
    assert (of_plain[:, 1:] == 0).all()
    assert (of_hybrid[:, 1:] != 0).any(dim=(1, 2, 3)).all()


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_hybrid_adds_a_thousandth_of_the_whole_bound(prediction: Prediction) -> None:
    batch, wrong = drawn(8), 0.5
    fields = {"schedule": COSINE, "timesteps": LEVELS, "prediction": prediction}
    exact, variance = Oracle(batch.image, prediction), batch.gaussian("variance")

    def network(noised: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return torch.cat([exact(noised, timestep) + wrong, variance], dim=1)

    hybrid = DdpmObjective(**fields, learned_sigma=True).loss(network, batch)

    timestep = LEVELS.timestep(batch.uniform("timestep"), COSINE)
    kept = torch.from_numpy(COSINE.alpha_bar()).float()[timestep].view(-1, 1, 1, 1)
    bound = variational_bound(
        2 * batch.image - 1,
        clean_error_of(torch.full_like(batch.image, wrong), kept, prediction),
        variance,
        timestep=timestep,
        schedule=COSINE,
    )
    whole = 1000 * bound.mean().item()  # the sum over all timesteps
    assert whole > 1.0
    assert hybrid.item() == pytest.approx(wrong**2 + 0.001 * whole, rel=1e-4)


@pytest.mark.parametrize(("learned_sigma", "channels"), [(False, 2), (True, 1)])
def test_a_network_of_other_channels_is_refused(
    learned_sigma: bool, channels: int
) -> None:
    objective = DdpmObjective(schedule=COSINE, learned_sigma=learned_sigma)

    with pytest.raises(ValueError, match=f"out_channels to {3 - channels}"):
        objective.loss(lambda noised, _: noised.repeat(1, channels, 1, 1), drawn(4))


def test_a_schedule_of_one_timestep_has_no_variance_to_learn() -> None:
    with pytest.raises(ValueError, match="at least 2 timesteps"):
        DdpmObjective(
            schedule=Schedule(kind="cosine", num_timesteps=1), learned_sigma=True
        )


def test_uniform_timesteps_reach_from_the_first_to_the_last() -> None:
    uniform = torch.tensor([0.0, 0.0009, 0.0011, 0.5, 1.0])

    timestep = UniformTimestep().timestep(uniform, COSINE)

    assert timestep.tolist() == [0, 0, 1, 500, 999]


def test_log_uniform_sigmas_are_even_on_the_log_scale() -> None:
    low, high = 0.1, 1.6
    uniform = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])

    timestep = LogUniformSigma(sigma_low=low, sigma_high=high).timestep(uniform, COSINE)

    sigma = sigma_signed_of(COSINE.alpha_bar())[timestep.numpy()] / 2
    assert sigma == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6], rel=0.01)


def test_sigmas_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="sigma_low < sigma_high"):
        LogUniformSigma(sigma_low=1.0, sigma_high=0.5)


def test_an_objective_is_found_by_its_kind() -> None:
    found = TypeAdapter(Objective).validate_python(
        {"kind": "gaussian", "sigma_train": 0.25}
    )

    assert found == GaussianObjective(sigma_train=0.25)
