"""Queries, keys and values by hand, and files that do not fit."""

from typing import Any

import numpy as np
import pytest
import torch

from infra.weights.openai_layout import key_map, shapes
from infra.weights.openai_tensors import split_attention, to_diffusers
from infra.weights.openai_unet import OpenAiUnet

HEADS, CHANNELS = 3, 2  # of each head
UNET = OpenAiUnet(
    family="guided",
    image_size=16,
    channel_mult="1,2",
    num_channels=32,
    num_res_blocks=1,
    num_heads=4,
    attention_resolutions="8",
    learn_sigma=False,
    class_cond=True,
    use_scale_shift_norm=True,
    diffusion_steps=1000,
    noise_schedule="linear",
    predict_xstart=False,
    rescale_timesteps=False,
)


def rows(new_order: bool) -> torch.Tensor:
    """Return rows that say who they are: 100 x (q, k, v) + 10 x head + channel."""
    which, head, channel = np.meshgrid([1, 2, 3], [1, 2, 3], [1, 2], indexing="ij")
    name = 100 * which + 10 * head + channel
    ordered = name if new_order else name.transpose(1, 0, 2)
    return torch.tensor(ordered.ravel(), dtype=torch.float32)


@pytest.mark.parametrize("new_order", [True, False])
def test_rows_go_to_their_part_by_head_and_channel(new_order: bool) -> None:
    parts = split_attention(rows(new_order), HEADS, new_order=new_order)
    expected = [11, 12, 21, 22, 31, 32]
    for number, part in enumerate(parts, 1):
        assert part.tolist() == [100 * number + name for name in expected]


def by_the_papers_formula(made: np.ndarray, new_order: bool) -> np.ndarray:
    """Return what attention makes of ``row position``, from the undivided rows."""
    shape = (3, HEADS, CHANNELS, -1) if new_order else (HEADS, 3, CHANNELS, -1)
    query, key, value = made.reshape(shape).swapaxes(0, 0 if new_order else 1)
    score = np.einsum("hcq,hck->hqk", query, key) / np.sqrt(CHANNELS)
    weight = np.exp(score) / np.exp(score).sum(axis=-1, keepdims=True)
    return np.einsum("hqk,hck->hcq", weight, value).reshape(HEADS * CHANNELS, -1)


@pytest.mark.parametrize("new_order", [True, False])
def test_attention_over_the_parts_is_attention_over_the_file(new_order: bool) -> None:
    random = np.random.default_rng(0)
    width = HEADS * CHANNELS
    weight = random.normal(size=(3 * width, width))
    image = random.normal(size=(width, 5))
    expected = by_the_papers_formula(weight @ image, new_order)

    def attention(asked_order: bool) -> np.ndarray:
        parts = split_attention(torch.tensor(weight), HEADS, new_order=asked_order)
        heads = [(p.numpy() @ image).reshape(HEADS, CHANNELS, -1) for p in parts]
        query, key, value = (torch.tensor(head).mT for head in heads)
        made = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        return made.mT.reshape(width, -1).numpy()

    np.testing.assert_allclose(attention(new_order), expected, atol=1e-12)
    assert np.abs(attention(not new_order) - expected).max() > 0.1


def state() -> dict[str, torch.Tensor]:
    return {key: torch.zeros(shape) for key, shape in shapes(UNET).items()}


def test_every_tensor_arrives_under_the_names_of_the_map_with_all_its_values() -> None:
    random = np.random.default_rng(1)
    file = {
        key: torch.tensor(random.normal(size=shape))
        for key, shape in shapes(UNET).items()
    }
    converted = to_diffusers(UNET, file, "net.pt")
    assert converted.keys() == {
        new for names in key_map(UNET).values() for new in names
    }
    for key, names in key_map(UNET).items():
        arrived = torch.cat([converted[name].flatten() for name in names])
        assert torch.equal(arrived.sort().values, file[key].flatten().sort().values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out.2.bias": None}, r"net.pt has no 'out.2.bias' of shape \(3,\)\. Name"),
        (
            {"out.2.bias": None, "out.2.weight": None},
            r"no 'out.2.weight' of shape \(3, 32, 3, 3\) \(and 1 more\)",
        ),
        ({"more": torch.zeros(1)}, "has 'more', which they have not"),
        (
            {"out.2.bias": torch.zeros(6), "more": torch.zeros(1), "out.0.bias": None},
            r"no 'out.0.bias' of shape \(32,\), and 'more', which they have not, and "
            r"'out.2.bias' of shape \(6,\), not \(3,\)",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(
    change: dict[str, Any], message: str
) -> None:
    file = {key: t for key, t in (state() | change).items() if t is not None}
    with pytest.raises(ValueError, match=message):
        to_diffusers(UNET, file, "net.pt")
