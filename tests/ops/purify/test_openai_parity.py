"""Networks in their authors' own files, beside what the authors' code returned."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from infra.weights.load import load
from infra.weights.openai_flags import read_flags
from infra.weights.openai_settings import settings_of
from infra.weights.openai_tensors import to_diffusers
from infra.weights.safetensors_file import write
from ops.columns import Worker
from ops.purify.one_shot import clean_of
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.scheduler_settings import prediction_of, schedule_of
from ops.purify.unet import assemble_unet
from ops.schedules import Schedule, embedded_timestep, sigma_signed_of
from ops.weights import Weights, WeightsRef, fit_weights

LIMIT = 1e-5
"""Largest difference, to the largest value."""

NAMES = ["adm_legacy_qkv", "adm_new_qkv", "cifar_rescaled_t"]


@dataclass(frozen=True)
class Case:
    """A network as converted, with its authors' inputs and outputs."""

    weights: Weights
    schedule: Schedule
    theirs: dict[str, torch.Tensor]

    @property
    def config(self) -> Any:
        return self.weights.config

    def timesteps(self) -> list[int]:
        return self.theirs["t"].tolist()

    def output(self, time: torch.Tensor) -> torch.Tensor:
        network = assemble_unet(self.config["unet"], self.config["attention_heads"])
        classes = {"class_labels": self.theirs["y"]} if "y" in self.theirs else {}
        fit_weights(network, self.weights).eval()
        return network(self.theirs["x"], time, return_dict=False, **classes)[0]


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest) -> Case:
    folder = os.environ.get("DIFFSMOOTH_DATA")
    if folder is None or not Path(folder).is_dir():
        pytest.skip(f"DIFFSMOOTH_DATA needs to name a folder of data; it is {folder!r}")
    path = Path(folder) / "parity" / request.param
    unet = read_flags(path.with_suffix(".json"))
    tensors, _ = load(path.with_suffix(".pt"))
    config = settings_of(unet)
    weights = Weights(path.name, to_diffusers(unet, tensors, path.name), config)
    schedule = schedule_of(config["scheduler"], path.name)
    return Case(weights, schedule, load_file(path.with_suffix(".io.safetensors")))


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def test_schedule_is_the_authors(case: Case) -> None:
    ours = torch.tensor(case.schedule.alpha_bar())
    torch.testing.assert_close(
        ours, case.theirs["alphas_cumprod"], rtol=1e-12, atol=1e-15
    )


@torch.no_grad()
def test_network_returns_what_the_authors_does(case: Case) -> None:
    # The stored outputs are those of the bare network, told the timestep as it is.
    output = case.output(case.theirs["t"].float())
    assert difference(output, case.theirs["model_output"]) < LIMIT


@torch.no_grad()
def test_clean_image_is_the_authors_at_the_time_their_process_tells(
    case: Case,
) -> None:
    times = [
        embedded_timestep(
            timestep,
            case.schedule.num_timesteps,
            rescale=case.config["rescale_timesteps"],
        )
        for timestep in case.timesteps()
    ]
    output = case.output(torch.tensor(times))[:, :3]
    prediction = prediction_of(case.config["scheduler"], case.weights.source)
    clean = [
        clean_of(
            case.theirs["x"][row, None],
            output[row, None],
            alpha_bar=float(case.schedule.alpha_bar()[timestep]),
            prediction=prediction,
        )
        for row, timestep in enumerate(case.timesteps())
    ]
    ours = torch.cat(clean).clamp(-1, 1)
    assert difference(ours, case.theirs["pred_x0_clipped"]) < LIMIT


@torch.no_grad()
def test_purifier_of_a_converted_file_returns_the_authors_clean_image(
    case: Case, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    write(path, case.weights.tensors, case.config)
    purifier = OneShotDdpm(weights=WeightsRef(path=str(path)), timestep_rule="nearest")
    alpha_bar = case.schedule.alpha_bar()
    for row, timestep in enumerate(case.timesteps()):
        sigma = float(sigma_signed_of(alpha_bar)[timestep]) / 2
        if "y" in case.theirs:
            with pytest.raises(ValueError, match="needs an unconditional network"):
                purifier.open(worker(), sigma)
            continue
        signed = case.theirs["x"][row, None] / alpha_bar[timestep] ** 0.5
        purified = purifier.open(worker(), sigma)((signed + 1) / 2)
        theirs = case.theirs["pred_x0_clipped"][row, None]
        assert difference(2 * purified - 1, theirs) < LIMIT
