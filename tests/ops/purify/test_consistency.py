"""The consistency purifier beside diffusers' own arithmetic, and its levels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.pipelines.consistency_models.pipeline_consistency_models import (
    ConsistencyModelPipeline,
)
from diffusers.schedulers.scheduling_consistency_models import (
    CMStochasticIterativeScheduler,
)
from pydantic import TypeAdapter

from infra.weights.openai_layout import shapes
from infra.weights.openai_settings import settings_of
from infra.weights.openai_tensors import to_diffusers
from infra.weights.openai_unet import OpenAiUnet
from infra.weights.safetensors_file import write
from ops.columns import Worker
from ops.initialise import initialise
from ops.purify.consistency import Consistency
from ops.purify.consistency_scalings import ConsistencySettings
from ops.purify.purifier import Purifier
from ops.weights import WeightsRef

Workers = Callable[..., Worker]

LAYOUT: dict[str, Any] = {
    "sample_size": 16,
    "block_out_channels": [32, 64],
    "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "ResnetUpsampleBlock2D"],
    "layers_per_block": 1,
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "resnet_time_scale_shift": "scale_shift",
    "attention_head_dim": 32,
    "attn_norm_num_groups": 32,
}
SETTINGS = ConsistencySettings(num_levels=40)
GRID = SETTINGS.levels().values()
TINY = Consistency(weights=WeightsRef(untrained=0), unet=LAYOUT, model=SETTINGS)


@pytest.fixture(scope="module")
def network() -> UNet2DModel:
    model = UNet2DModel(**LAYOUT)
    initialise(model, 0)
    return model.eval()


@pytest.fixture(scope="module")
def folder(network: UNet2DModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    scheduler = CMStochasticIterativeScheduler(num_train_timesteps=40)
    ConsistencyModelPipeline(network, scheduler).save_pretrained(path)
    return path


def images(num: int = 2) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.rand(num, 3, 16, 16, generator=random)


@torch.no_grad()
@pytest.mark.parametrize("index", [19, 28, 36])
def test_folder_purifies_as_diffusers_takes_one_step(
    folder: Path, network: UNet2DModel, worker: Workers, index: int
) -> None:
    scheduler = CMStochasticIterativeScheduler(num_train_timesteps=40)
    scheduler.set_timesteps(timesteps=[index])
    (time,) = scheduler.timesteps
    signed = 2 * images() - 1
    scaled = scheduler.scale_model_input(signed, time).float()
    (output,) = network(scaled, time.float(), return_dict=False)
    (theirs,) = scheduler.step(output, time, signed, return_dict=False)

    purifier = Consistency(weights=WeightsRef(path=str(folder)))
    ours = purifier.open(worker(), scheduler.sigmas[0].item() / 2)(images())
    torch.testing.assert_close(2 * ours - 1, theirs, rtol=0, atol=2e-5)
    assert (theirs.abs() < 1).float().mean() > 0.3


def test_nearest_level_is_the_one_whose_midpoints_hold_the_noise() -> None:
    middles = (GRID[1:] + GRID[:-1]) / 2
    for sigma in np.random.default_rng(0).uniform(0.001, 40.0, 300):
        between = GRID[np.searchsorted(middles, 2 * sigma)]
        assert TINY.level_at(SETTINGS, float(sigma)) == between


@pytest.mark.parametrize(
    ("num_levels", "expected"),
    [(18, [0.58535, 1.08817, 1.92334]), (40, [0.4700, 1.0717, 1.7672])],
)
def test_published_sigmas_have_their_levels(
    num_levels: int, expected: list[float]
) -> None:
    settings = ConsistencySettings(num_levels=num_levels)
    found = [TINY.level_at(settings, sigma) for sigma in (0.25, 0.5, 1.0)]
    assert found == pytest.approx(expected, abs=5e-5)
    exactly = TINY.model_copy(update={"level": "continuous"})
    assert [exactly.level_at(settings, s) for s in (0.25, 0.5, 1.0)] == [0.5, 1.0, 2.0]


def test_both_rules_agree_at_a_level_and_differ_between_two(worker: Workers) -> None:
    exactly = TINY.model_copy(update={"level": "continuous"})
    at, between = float(GRID[15]) / 2, float(GRID[15] + 0.4 * (GRID[16] - GRID[15])) / 2
    same = [one.open(worker(), at)(images()) for one in (TINY, exactly)]
    assert torch.equal(*same)
    other = [one.open(worker(), between)(images()) for one in (TINY, exactly)]
    assert torch.equal(other[0], same[0])
    assert not torch.equal(other[1], same[1])


def test_noise_below_the_grid_comes_back_as_it_is(worker: Workers) -> None:
    purified = TINY.open(worker(), 0.0011)(images())
    torch.testing.assert_close(purified, images(), rtol=0, atol=1e-6)


def test_result_is_cut_to_pixels_and_never_made_bytes(worker: Workers) -> None:
    noisy = 3 * images() - 1
    cut = TINY.open(worker(), 0.5)(noisy)
    whole = TINY.model_copy(update={"clip": False}).open(worker(), 0.5)(noisy)
    assert whole.min() < 0
    assert whole.max() > 1
    torch.testing.assert_close(cut, whole.clamp(0, 1), rtol=0, atol=1e-6)
    inside = (255 * cut)[(cut > 0) & (cut < 1)]
    assert ((inside - inside.round()).abs() > 1e-3).float().mean() > 0.9


def test_a_copy_is_purified_alike_in_any_company(worker: Workers) -> None:
    purify = TINY.open(worker(), 0.25)
    together = purify(images(4))
    for row in range(4):
        alone = purify(images(4)[row, None])
        torch.testing.assert_close(alone, together[row, None], rtol=0, atol=1e-5)


def test_recipe_names_it_by_its_kind() -> None:
    said = {"kind": "consistency", "weights": {"untrained": 0}, "level": "continuous"}
    found = TypeAdapter(Purifier).validate_python(said)
    assert isinstance(found, Consistency)
    assert found.calls_at(0.5) == found.samples_per_copy == 1


@torch.no_grad()
def test_file_of_openais_layout_purifies_once_it_is_converted(
    worker: Workers, tmp_path: Path
) -> None:
    unet = OpenAiUnet(
        family="consistency",
        image_size=16,
        channel_mult="1,2",
        num_channels=32,
        num_res_blocks=1,
        num_heads=4,
        num_head_channels=32,
        attention_resolutions="8",
        learn_sigma=False,
        class_cond=False,
        use_scale_shift_norm=True,
        resblock_updown=True,
        use_new_attention_order=True,
        diffusion_steps=40,
        noise_schedule="karras",
        predict_xstart=False,
        rescale_timesteps=False,
    )
    random = np.random.default_rng(0)
    file = {
        key: torch.tensor(random.normal(0, 0.1, shape), dtype=torch.float32)
        for key, shape in shapes(unet).items()
    }
    config, tensors = settings_of(unet), to_diffusers(unet, file, "cd.pt")
    write(tmp_path / "cd.safetensors", tensors, config)
    raw = tmp_path / "raw.safetensors"
    write(raw, file, {})

    purifier = Consistency(weights=WeightsRef(path=str(tmp_path / "cd.safetensors")))
    ours = purifier.open(worker(), float(GRID[20]) / 2)(images())
    told = purifier.model_copy(update={"model": SETTINGS})
    assert torch.equal(told.open(worker(), float(GRID[20]) / 2)(images()), ours)
    assert ours.std() > 0.01
    with pytest.raises(ValueError, match="Convert it once: diffsmooth convert"):
        Consistency(weights=WeightsRef(path=str(raw))).open(worker(), 0.5)


@pytest.mark.parametrize(
    ("change", "sigma", "message"),
    [
        ({}, 40.1, "levels needs highest of at least 80.2"),
        ({"level": "continuous"}, 40.1, "levels needs highest of at least 80.2"),
        ({"level": "continuous"}, 0.0005, "sigma of at least 0.001, .*is 0.0005"),
        ({"unet": None}, 0.5, "needs the settings of its UNet2DModel; untrained"),
        ({"model": None}, 0.5, "scheduler of untrained weights .* unknown class"),
        (
            {"unet": {**LAYOUT, "out_channels": 6}},
            0.5,
            "as many channels out as in; .* has 3 in and 6 out",
        ),
    ],
)
def test_what_cannot_be_purified_is_refused(
    worker: Workers, change: dict[str, Any], sigma: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TINY.model_copy(update=change).open(worker(), sigma)


def test_a_model_of_the_recipe_that_does_not_know_the_noise_is_refused_unopened() -> (
    None
):
    with pytest.raises(ValueError, match=r"highest of at least 80\.2"):
        TINY.calls_at(40.1)
    assert TINY.model_copy(update={"model": None}).calls_at(40.1) == 1
