"""A chain around a network: whose noise, whose schedule, and what it refuses."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from gaussian_here import WORKER, draw_for, gaussian_denoiser, knowing, noisy_copies
from pydantic import TypeAdapter, ValidationError
from tiny_unet_here import TINY, UNTRAINED

from ops.initialise import initialise
from ops.purify.edm import Edm
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.purifier import Purifier
from ops.purify.reverse_chain import ReverseChain
from ops.purify.scheduler_settings import ddpm_scheduler, edm_scheduler
from ops.purify.unet import build_unet
from ops.schedules import Schedule, sigma_signed_of
from ops.weights import Weights, WeightsRef

LINEAR = Schedule(kind="linear", num_timesteps=1000, beta_start=1e-4, beta_end=0.02)
LEVELS = sigma_signed_of(LINEAR.alpha_bar())
Images = torch.Tensor


def tiny(**fields: Any) -> ReverseChain:
    """Return a chain of a network with weights of no training."""
    fixed = {
        "weights": UNTRAINED,
        "unet": TINY,
        "scheduler": ddpm_scheduler(LINEAR, "epsilon"),
        "steps": 3,
        "samples": 2,
    }
    return ReverseChain(**{**fixed, **fields})


def no_noise(stream: str) -> Images:
    return torch.zeros(6, 1, 4, 4)


def one_shot(**fields: Any) -> OneShotDdpm:
    fixed = {"schedule": LINEAR, "prediction": "epsilon", "timestep_rule": "nearest"}
    return OneShotDdpm(weights=UNTRAINED, unet=TINY, **{**fixed, **fields})


@torch.no_grad()
def test_one_step_at_a_timesteps_own_noise_is_one_shot() -> None:
    noisy, sigma = noisy_copies(), LEVELS[140] / 2

    ours = tiny(steps=1, samples=1).open_with_noise(WORKER, sigma)(noisy, no_noise)
    theirs = one_shot().open(WORKER, sigma)(noisy)

    assert theirs.std() > 0.05
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@torch.no_grad()
def test_one_step_elsewhere_is_one_shot_but_for_the_scaling() -> None:
    """What a network of noise is given differs by a factor, about half a timestep."""
    noisy, sigma = noisy_copies(), (0.4 * LEVELS[140] + 0.6 * LEVELS[141]) / 2

    shrink = 1 / math.sqrt(1 + 4 * sigma**2)
    off = abs(shrink / math.sqrt(LINEAR.alpha_bar()[141]) - 1)
    assert 1e-4 < off < 1e-3
    fields = {"steps": 1, "samples": 1, "clip": False}
    ours = tiny(**fields).open_with_noise(WORKER, sigma)(noisy, no_noise)
    theirs = one_shot(clip=False).open(WORKER, sigma)(noisy)

    apart = (ours - theirs).abs().max() / (2 * theirs - 1).abs().max()
    assert 0.1 * off < apart < 2 * off


@torch.no_grad()
def test_a_chain_walks_down_the_schedule_of_its_weights() -> None:
    noisy = noisy_copies()
    from_weights, given = (
        tiny(schedule=schedule).open_with_noise(WORKER, 0.5)(noisy, draw_for(noisy))
        for schedule in (None, LINEAR)
    )
    assert torch.equal(from_weights, given)


@torch.no_grad()
def test_an_edm_network_walks_down_a_given_schedule() -> None:
    edm = {"scheduler": edm_scheduler(0.5)}
    noisy, sigma = noisy_copies(), LEVELS[200] / 2
    one_step = tiny(**edm, schedule=LINEAR, steps=1, samples=1)

    ours = one_step.open_with_noise(WORKER, sigma)(noisy, no_noise)
    theirs = Edm(weights=UNTRAINED, unet=TINY, **edm).open(WORKER, sigma)(noisy)

    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=r"reverse_chain needs timesteps .*schedule"):
        tiny(**edm).open_with_noise(WORKER, sigma)


@torch.no_grad()
def test_a_network_that_learned_variances_is_asked_for_them() -> None:
    noisy, twice = noisy_copies(), {**TINY, "out_channels": 2}
    learned, fixed = (
        tiny(unet=twice, variance=variance).open_with_noise(WORKER, 0.5)(
            noisy, draw_for(noisy)
        )
        for variance in ("learned", "fixed_small")
    )
    assert not torch.allclose(learned, fixed, atol=1e-4)
    with pytest.raises(ValueError, match=r"variance is learned, .*returns no channels"):
        tiny(variance="learned").open_with_noise(WORKER, 0.5)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"steps": "all"}, "needs its schedule in the recipe to take `steps: all`"),
        ({"steps": 1, "samples": 5}, "steps is 1 and samples is 5. Set `samples: 1`"),
        ({"steps": 0}, "greater than 0"),
        ({"samples": 0}, "greater than 0"),
    ],
)
def test_fields_of_no_use_are_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)):
        tiny(**fields)


def test_noise_that_no_timestep_has_is_refused() -> None:
    with pytest.raises(ValueError, match="No timestep has this noise"):
        tiny().open_with_noise(WORKER, 200.0)
    with pytest.raises(ValueError, match=r"steps is 300, .*timestep 258"):
        tiny(steps=300).open_with_noise(WORKER, 0.5)
    low = gaussian_denoiser(highest=0.5)
    purifier = knowing(ReverseChain, low, steps=3, samples=1, schedule=LINEAR)
    with pytest.raises(ValueError, match="A purifier needs a sigma above 0 and up to"):
        purifier.open_with_noise(WORKER, 0.5)


def test_weights_are_read_once() -> None:
    from_file, reads = WeightsRef(path="a file"), []
    tensors = initialise(build_unet(TINY), 3).state_dict()
    config = {"unet": TINY, "scheduler": ddpm_scheduler(LINEAR, "epsilon")}

    def load(reference: WeightsRef) -> Weights:
        reads.append(reference)
        return Weights("a file", tensors, config)

    worker = replace(WORKER, load=load)
    tiny(weights=from_file, unet=None, scheduler=None).open_with_noise(worker, 0.5)

    assert reads == [from_file]


def test_a_recipe_names_it_by_its_kind() -> None:
    recipe = {
        "kind": "reverse_chain",
        "weights": {"untrained": 0},
        "steps": "all",
        "samples": 5,
        "schedule": {"kind": "cosine", "num_timesteps": 100},
    }

    found = TypeAdapter(Purifier).validate_python(recipe)

    assert isinstance(found, ReverseChain)
    assert found.samples_per_copy == 5
