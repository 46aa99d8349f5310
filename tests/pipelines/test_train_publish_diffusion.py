"""Diffusion models as they are published: folders that diffusers opens too."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_edm_euler import EDMEulerScheduler
from published_here import WORKER, published, recipe_of

from infra.weights.safetensors_file import read_config
from ops.initialise import initialise
from ops.losses.ddpm import DdpmObjective
from ops.purify.one_shot import Prediction
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.scheduler_settings import prediction_of, schedule_of
from ops.schedules import Schedule
from ops.weights import WeightsRef
from pipelines.train_hash import recipe_hash
from pipelines.train_recipe import TrainRecipe, load_train_recipe

COSINE = Schedule(kind="cosine", num_timesteps=1000)
PREDICTIONS: list[Prediction] = ["epsilon", "v", "x0"]
UNET = {
    "kind": "unet",
    "settings": {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": [8, 8],
        "layers_per_block": 1,
        "down_block_types": ["DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D"],
        "norm_num_groups": 4,
        "add_attention": False,
    },
}


def diffusion(**objective: Any) -> TrainRecipe:
    return recipe_of(UNET, {"schedule": COSINE, "kind": "ddpm", **objective})


def test_a_published_diffusion_model_opens_as_a_purifier(tmp_path: Path) -> None:
    path = published(load_train_recipe("train_digits_ddpm"), tmp_path)

    purify = OneShotDdpm(weights=WeightsRef(path=str(path))).open(WORKER, sigma=0.5)

    assert purify(torch.zeros(100, 1, 8, 8)).shape == (100, 1, 8, 8)


@torch.no_grad()
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_purifier_reads_what_the_network_was_trained_to_predict(
    tmp_path: Path, prediction: Prediction
) -> None:
    reference = WeightsRef(
        path=str(published(diffusion(prediction=prediction), tmp_path))
    )
    noisy = torch.linspace(0, 1, 4 * 64).view(4, 1, 8, 8)

    found = OneShotDdpm(weights=reference).open(WORKER, 0.5)(noisy)

    told = OneShotDdpm(weights=reference, prediction=prediction, schedule=COSINE)
    assert torch.equal(found, told.open(WORKER, 0.5)(noisy))


@torch.no_grad()
def test_a_learned_variance_is_published_and_not_read(tmp_path: Path) -> None:
    settings = {**UNET["settings"], "out_channels": 2}
    recipe = recipe_of(
        {"kind": "unet", "settings": settings},
        {"kind": "ddpm", "schedule": COSINE, "learned_sigma": True},
    )
    path = published(recipe, tmp_path)

    theirs: Any = DDPMScheduler.from_pretrained(path / "scheduler")
    purify = OneShotDdpm(weights=WeightsRef(path=str(path))).open(WORKER, 0.5)

    assert theirs.config["variance_type"] == "learned_range"
    assert purify(torch.zeros(2, 1, 8, 8)).shape == (2, 1, 8, 8)


@torch.no_grad()
def test_diffusers_itself_opens_what_is_published(tmp_path: Path) -> None:
    recipe = diffusion(prediction="v")
    path = published(recipe, tmp_path)

    network: Any = UNet2DModel.from_pretrained(path / "unet")
    theirs: Any = DDPMScheduler.from_pretrained(path / "scheduler")

    image, time = torch.rand(2, 1, 8, 8), torch.tensor(7)
    ours = initialise(recipe.network.network(), seed=3).eval()
    assert torch.equal(network(image, time)[0], ours(image, time)[0])
    assert theirs.config["prediction_type"] == "v_prediction"
    expected = torch.from_numpy(COSINE.alpha_bar()).float()
    torch.testing.assert_close(theirs.alphas_cumprod, expected, rtol=1e-4, atol=1e-7)


def test_a_preconditioned_model_is_published_as_diffusers_has_it(
    tmp_path: Path,
) -> None:
    path = published(recipe_of(UNET, {"kind": "edm", "sigma_data": 0.4}), tmp_path)

    theirs: Any = EDMEulerScheduler.from_pretrained(path / "scheduler")

    assert theirs.config["sigma_data"] == 0.4
    assert theirs.config["prediction_type"] == "epsilon"


@pytest.mark.parametrize("told", [{}, {"schedule": COSINE}, {"prediction": "epsilon"}])
def test_a_preconditioned_model_is_no_one_shot_diffusion_model(
    tmp_path: Path, told: dict[str, Any]
) -> None:
    path = published(recipe_of(UNET, {"kind": "edm"}), tmp_path)
    purifier = OneShotDdpm(weights=WeightsRef(path=str(path)), **told)

    with pytest.raises(ValueError, match="is an EDMEulerScheduler, that of a network"):
        purifier.open(WORKER, 0.5)


def test_a_diffusion_models_tensors_say_how_it_was_trained(tmp_path: Path) -> None:
    recipe = diffusion(prediction="x0")
    path = published(recipe, tmp_path)

    said = read_config(path / "unet" / "diffusion_pytorch_model.safetensors")

    assert said == {
        "objective": "ddpm",
        "prediction": "x0",
        "data": "digits",
        "training_recipe": recipe_hash(recipe),
        "images_sha256": "of images made up",
    }


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize(
    "schedule",
    [
        COSINE,
        Schedule(kind="linear", num_timesteps=10, beta_start=0.01, beta_end=0.2),
    ],
)
def test_a_schedule_survives_the_spelling_of_diffusers(
    schedule: Schedule, prediction: Prediction
) -> None:
    settings = DdpmObjective(schedule=schedule, prediction=prediction).scheduler()

    assert schedule_of(settings, "test") == schedule
    assert prediction_of(settings, "test") == prediction
