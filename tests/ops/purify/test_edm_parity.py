"""Networks of EDM's own code, beside what the authors' code returned."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from infra.weights.edm_settings import config_of
from infra.weights.safetensors_file import write
from ops.columns import Worker
from ops.purify.dhariwal_unet import DhariwalUnet, DhariwalUnetSettings
from ops.purify.edm import Edm
from ops.purify.edm_network import edm_network, preconditioning
from ops.purify.karras import precondition
from ops.purify.song_unet import SongUnet, SongUnetSettings
from ops.weights import Weights, WeightsRef

PUBLISHED = [
    (SongUnet, SongUnetSettings, {"img_resolution": 32, "channel_mult": (2, 2, 2)}, 56),
    (SongUnet, SongUnetSettings, {"img_resolution": 64}, 62),
    (
        DhariwalUnet,
        DhariwalUnetSettings,
        {"img_resolution": 64, "label_dim": 1000},
        296,
    ),
]

LIMIT = 1e-5
"""Largest difference, to the largest value."""

NAMES = ["edm_ddpmpp", "edm_ncsnpp", "edm_adm"]


@dataclass(frozen=True)
class Case:
    """A network of the authors', with their inputs and outputs."""

    weights: Weights
    theirs: dict[str, torch.Tensor]


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest) -> Case:
    folder = os.environ.get("DIFFSMOOTH_DATA")
    if folder is None or not Path(folder).is_dir():
        pytest.skip(f"DIFFSMOOTH_DATA needs to name a folder of data; it is {folder!r}")
    path = Path(folder) / "parity" / request.param
    arguments = json.loads(path.with_suffix(".json").read_text())["config"]
    tensors = load_file(path.with_suffix(".safetensors"))
    weights = Weights(path.name, tensors, config_of(arguments, path.name))
    return Case(weights, load_file(path.with_suffix(".io.safetensors")))


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@pytest.mark.parametrize(("network", "settings", "said", "millions"), PUBLISHED)
def test_published_networks_have_as_many_parameters_as_table_7_of_karras_2022_says(
    network: Any, settings: Any, said: dict[str, Any], millions: int
) -> None:
    with torch.device("meta"):
        made = network(settings(img_channels=3, **said))
    number = sum(parameter.numel() for parameter in made.parameters())
    assert round(number / 1e6) == millions


@torch.no_grad()
def test_preconditioned_network_denoises_as_the_authors_does(case: Case) -> None:
    network = edm_network(case.weights).eval()
    labels = case.theirs.get("class_labels")
    denoise = precondition(
        lambda scaled, time: network(scaled, time, labels),
        case.theirs["sigma"],
        preconditioning(case.weights).sigma_data,
    )
    assert difference(denoise(case.theirs["x"]), case.theirs["denoised"]) < LIMIT


@torch.no_grad()
def test_purifier_of_such_a_file_returns_the_authors_clean_image(
    case: Case, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    write(path, case.weights.tensors, case.weights.config)
    purifier = Edm(weights=WeightsRef(path=str(path)), clip=False)
    for row, level in enumerate(case.theirs["sigma"].tolist()):
        if "class_labels" in case.theirs:
            with pytest.raises(ValueError, match="needs an unconditional network"):
                purifier.open(worker(), level / 2)
            continue
        noisy = (case.theirs["x"][row, None] + 1) / 2
        clean = purifier.open(worker(), level / 2)(noisy)
        assert difference(2 * clean - 1, case.theirs["denoised"][row, None]) < LIMIT
