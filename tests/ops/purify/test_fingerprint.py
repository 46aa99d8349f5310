"""A network that loads and is wrong is told by what it returns."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.weights.openai_layout import shapes
from infra.weights.openai_settings import settings_of
from infra.weights.openai_tensors import to_diffusers
from infra.weights.openai_unet import OpenAiUnet
from infra.weights.safetensors_file import write
from ops.columns import Worker
from ops.purify.fingerprint import TOLERANCE, fingerprint_of, require_fingerprint
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.unet import assemble_unet
from ops.weights import Weights, WeightsRef, fit_weights

Tensors = dict[str, torch.Tensor]
Workers = Callable[..., Worker]

UNET = OpenAiUnet(
    family="guided",
    image_size=32,
    channel_mult="1,2,3",
    num_channels=32,
    num_res_blocks=1,
    num_heads=4,
    attention_resolutions="16,8",
    learn_sigma=True,
    class_cond=False,
    use_scale_shift_norm=True,
    diffusion_steps=1000,
    noise_schedule="cosine",
    predict_xstart=False,
    rescale_timesteps=False,
)
NEW_ORDER = UNET.model_copy(update={"use_new_attention_order": True})


@pytest.fixture(scope="module")
def file() -> Tensors:
    random = np.random.default_rng(0)
    state = {}
    for key, shape in shapes(UNET).items():
        scale = math.sqrt(1.5 / math.prod(shape[1:])) if len(shape) > 1 else 0.3
        state[key] = torch.tensor(random.normal(0.0, scale, shape), dtype=torch.float32)
    return state


def network_of(tensors: Tensors, heads: dict[str, int] | None) -> Any:
    network = assemble_unet(settings_of(UNET)["unet"], heads)
    return fit_weights(network, Weights("net.pt", tensors))


@pytest.fixture(scope="module")
def converted(file: Tensors) -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors and settings of a file converted as it should be."""
    tensors, settings = to_diffusers(UNET, file, "net.pt"), settings_of(UNET)
    network = network_of(tensors, settings["attention_heads"])
    return tensors, settings | {
        "fingerprint": fingerprint_of(network, settings, "net.pt")
    }


def opened(folder: Path, worker: Worker, tensors: Tensors, config: dict) -> Any:
    path = folder / "net.safetensors"
    write(path, tensors, config)
    purifier = OneShotDdpm(weights=WeightsRef(path=str(path)))
    return purifier.open(worker, 0.25)


def test_file_as_converted_opens(
    converted: tuple[Tensors, dict[str, Any]], worker: Workers, tmp_path: Path
) -> None:
    purify = opened(tmp_path, worker(), *converted)
    assert purify(torch.rand(2, 3, 32, 32)).shape == (2, 3, 32, 32)


def test_swapped_order_of_queries_keys_and_values_is_refused(
    file: Tensors,
    converted: tuple[Tensors, dict[str, Any]],
    worker: Workers,
    tmp_path: Path,
) -> None:
    swapped = to_diffusers(NEW_ORDER, file, "net.pt")
    assert swapped.keys() == converted[0].keys()
    with pytest.raises(ValueError, match=r"net.safetensors differs by .* convert the"):
        opened(tmp_path, worker(), swapped, converted[1])


def test_dropped_numbers_of_heads_are_refused(
    converted: tuple[Tensors, dict[str, Any]], worker: Workers, tmp_path: Path
) -> None:
    tensors, config = converted
    without = {name: config[name] for name in config if name != "attention_heads"}
    with pytest.raises(ValueError, match=r"net.safetensors were changed"):
        opened(tmp_path, worker(), tensors, without)
    # Also where whoever dropped them has sealed the settings again.
    network = network_of(tensors, None)
    sealed = fingerprint_of(network, without, "net.pt")["settings"]
    without |= {"fingerprint": config["fingerprint"] | {"settings": sealed}}
    with pytest.raises(ValueError, match=r"net.safetensors differs by"):
        opened(tmp_path, worker(), tensors, without)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rescale_timesteps", True),
        (
            "scheduler",
            {
                "beta_schedule": "linear",
                "beta_start": 0.0001,
                "beta_end": 0.02,
                "num_train_timesteps": 1000,
                "prediction_type": "epsilon",
            },
        ),
        ("fingerprint", None),
    ],
)
def test_settings_that_no_output_shows_are_sealed(
    converted: tuple[Tensors, dict[str, Any]],
    worker: Workers,
    tmp_path: Path,
    name: str,
    value: object,
) -> None:
    tensors, config = converted
    changed = config | {"source": {"name": "net.pt"}} | {name: value}
    if value is None:
        del changed[name]
    with pytest.raises(ValueError, match=r"net.safetensors were changed"):
        opened(tmp_path, worker(), tensors, changed)


def test_settings_of_a_recipe_do_not_get_past_it(
    converted: tuple[Tensors, dict[str, Any]], worker: Workers, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    write(path, *converted)
    other = converted[1]["unet"] | {"flip_sin_to_cos": False}
    purifier = OneShotDdpm(weights=WeightsRef(path=str(path)), unet=other)
    with pytest.raises(ValueError, match="leave `unet` out of the recipe"):
        purifier.open(worker(), 0.25)


@pytest.mark.parametrize("key", ["conv_out.bias", "mid_block.attentions.0.to_k.weight"])
def test_any_tensor_that_changed_is_refused(
    converted: tuple[Tensors, dict[str, Any]], key: str
) -> None:
    tensors, config = converted
    changed = tensors | {key: tensors[key] + 0.3 * tensors[key].std()}
    network = network_of(changed, config["attention_heads"])
    with pytest.raises(ValueError, match=r"net\.pt differs by"):
        require_fingerprint(network, config, "net.pt")


def test_what_other_machines_round_otherwise_passes(
    converted: tuple[Tensors, dict[str, Any]],
) -> None:
    tensors, config = converted
    stored = torch.tensor(config["fingerprint"]["values"])
    network = network_of(tensors, config["attention_heads"])
    for factor, passes in ((0.1, True), (2.0, False)):
        moved = stored + factor * TOLERANCE * stored.abs().max()
        told = {"fingerprint": config["fingerprint"] | {"values": moved.tolist()}}
        if passes:
            require_fingerprint(network, config | told, "net.pt")
            continue
        with pytest.raises(ValueError, match=r"differs by 0\.0002"):
            require_fingerprint(network, config | told, "net.pt")


def test_network_is_left_as_it_was(
    converted: tuple[Tensors, dict[str, Any]],
) -> None:
    network = network_of(converted[0], converted[1]["attention_heads"]).train()
    fingerprint_of(network, {}, "net.pt")
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_network_without_a_result_has_no_fingerprint(
    converted: tuple[Tensors, dict[str, Any]], value: float
) -> None:
    ends = {"conv_out.weight": torch.zeros(6, 32, 3, 3)}
    ends |= {"conv_out.bias": torch.full((6,), value)}
    network = network_of(converted[0] | ends, converted[1]["attention_heads"])
    with pytest.raises(ValueError, match="needs a trained network"):
        fingerprint_of(network, {}, "net.pt")


def test_network_that_returns_nan_does_not_match(
    converted: tuple[Tensors, dict[str, Any]],
) -> None:
    ends = {"conv_out.bias": torch.full((6,), math.nan)}
    network = network_of(converted[0] | ends, converted[1]["attention_heads"])
    with pytest.raises(ValueError, match="differs by nan"):
        require_fingerprint(network, converted[1], "net.pt")
