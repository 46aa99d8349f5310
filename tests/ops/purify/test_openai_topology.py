"""OpenAI's U-Nets computed straight from their own tensors, beside UNet2DModel."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from infra.weights.openai_layout import shapes
from infra.weights.openai_presets import PRESETS
from infra.weights.openai_settings import settings_of
from infra.weights.openai_tensors import to_diffusers
from infra.weights.openai_unet import OpenAiUnet
from ops.purify.unet import assemble_unet
from ops.weights import Weights, fit_weights

State = dict[str, torch.Tensor]

BASE: dict[str, Any] = {
    "image_size": 64,
    "num_channels": 32,
    "num_res_blocks": 1,
    "num_heads": 4,
    "attention_resolutions": "16,8",
    "learn_sigma": True,
    "class_cond": False,
    "use_scale_shift_norm": True,
    "diffusion_steps": 1000,
    "noise_schedule": "linear",
    "predict_xstart": False,
    "rescale_timesteps": False,
}
GUIDED = BASE | {"family": "guided", "image_size": 32, "attention_resolutions": "16,8"}
CONSISTENCY: dict[str, Any] = {
    "family": "consistency",
    "image_size": 32,
    "channel_mult": "1,2,3",
    "num_head_channels": 16,
    "learn_sigma": False,
    "resblock_updown": True,
    "use_new_attention_order": True,
    "noise_schedule": "karras",
}

NETWORKS: dict[str, dict[str, Any]] = {
    "4 heads of several widths": BASE | {"family": "improved"},
    "time only added": BASE | {"family": "improved", "use_scale_shift_norm": False},
    "heads of one width, resblocks, new order": GUIDED
    | {
        "channel_mult": "1,2,3",
        "num_head_channels": 32,
        "resblock_updown": True,
        "use_new_attention_order": True,
    },
    "other heads upwards, classes, several blocks": GUIDED
    | {
        "channel_mult": "1,1,2",
        "num_heads_upsample": 8,
        "num_res_blocks": 2,
        "class_cond": True,
        "learn_sigma": False,
    },
    "consistency model with classes": BASE
    | CONSISTENCY
    | {"num_res_blocks": 2, "class_cond": True},
    "consistency model, time only added": BASE
    | CONSISTENCY
    | {"use_scale_shift_norm": False},
}


def random_state(unet: OpenAiUnet) -> State:
    random = np.random.default_rng(0)
    state = {}
    for key, shape in shapes(unet).items():
        scale = math.sqrt(1.5 / math.prod(shape[1:])) if len(shape) > 1 else 0.3
        shift = 1.0 if len(shape) == 1 and key.endswith("weight") else 0.0
        values = random.normal(shift, scale, shape)
        state[key] = torch.tensor(values, dtype=torch.float32)
    return state


class Reference:
    """The forward pass as the papers describe it, on the tensors of a file."""

    def __init__(self, unet: OpenAiUnet, state: State) -> None:
        self.unet, self.state = unet, state

    def __call__(
        self, image: torch.Tensor, time: torch.Tensor, label: torch.Tensor
    ) -> torch.Tensor:
        half = self.unet.num_channels // 2
        angle = time[:, None] * 10_000.0 ** (-torch.arange(half) / half)
        embedded = self.linear("time_embed.0", torch.cat([angle.cos(), angle.sin()], 1))
        embedded = self.linear("time_embed.2", functional.silu(embedded))
        if self.unet.class_cond:
            embedded = embedded + self.state["label_emb.weight"][label]
        past, every = [], self.unet.num_res_blocks + 1
        for index in range(len(self.unet.widths) * every):
            way = "down" if index and index % every == 0 else "same"
            image = self.block(f"input_blocks.{index}", image, embedded, way)
            past.append(image)
        image = self.block("middle_block", image, embedded, "same")
        for index in range(len(past)):
            image = torch.cat([image, past.pop()], dim=1)
            image = self.block(f"output_blocks.{index}", image, embedded, "up")
        return self.conv("out.2", functional.silu(self.norm("out.0", image)))

    def block(
        self, name: str, image: torch.Tensor, embedded: torch.Tensor, way: str
    ) -> torch.Tensor:
        upwards, resnets = way == "up", 0
        for part in range(3):
            at = f"{name}.{part}"
            if f"{at}.in_layers.0.weight" in self.state:
                # On the way up, a second residual block in a place is the one that
                # changes the resolution.
                here = ("up" if resnets else "same") if upwards else way
                image = self.resnet(at, image, embedded, here)
                resnets += 1
            elif f"{at}.qkv.weight" in self.state:
                image = self.attention(at, image, upwards=upwards)
            elif f"{at}.op.weight" in self.state:
                image = self.conv(f"{at}.op", image, stride=2)
            elif f"{at}.conv.weight" in self.state:
                image = self.conv(f"{at}.conv", self.resized(image, "up"))
            elif f"{at}.weight" in self.state:
                image = self.conv(at, image)
        return image

    def resnet(
        self, name: str, image: torch.Tensor, embedded: torch.Tensor, way: str
    ) -> torch.Tensor:
        inner = functional.silu(self.norm(f"{name}.in_layers.0", image))
        inner, image = self.resized(inner, way), self.resized(image, way)
        inner = self.conv(f"{name}.in_layers.2", inner)
        time = self.linear(f"{name}.emb_layers.1", functional.silu(embedded))
        time = time[:, :, None, None]
        if self.unet.use_scale_shift_norm:
            scale, shift = time.chunk(2, dim=1)
            inner = self.norm(f"{name}.out_layers.0", inner) * (1 + scale) + shift
        else:
            inner = self.norm(f"{name}.out_layers.0", inner + time)
        inner = self.conv(f"{name}.out_layers.3", functional.silu(inner))
        skip = f"{name}.skip_connection"
        return inner + (
            self.conv(skip, image) if f"{skip}.weight" in self.state else image
        )

    def attention(
        self, name: str, image: torch.Tensor, *, upwards: bool
    ) -> torch.Tensor:
        copies, width, *size = image.shape
        heads = self.unet.num_heads
        if upwards and self.unet.num_heads_upsample != -1:
            heads = self.unet.num_heads_upsample
        if self.unet.num_head_channels != -1:
            heads = width // self.unet.num_head_channels
        flat = self.norm(f"{name}.norm", image).flatten(2)
        made = self.conv_1d(f"{name}.qkv", flat)
        if self.unet.use_new_attention_order:
            parts = made.unflatten(1, (3, heads, -1)).unbind(1)
        else:
            parts = made.unflatten(1, (heads, 3, -1)).unbind(2)
        query, key, value = parts
        score = torch.einsum("nhcq,nhck->nhqk", query, key) / math.sqrt(width / heads)
        mixed = torch.einsum("nhqk,nhck->nhcq", score.softmax(dim=-1), value)
        mixed = self.conv_1d(f"{name}.proj_out", mixed.reshape(copies, width, -1))
        return image + mixed.unflatten(2, size)

    def resized(self, image: torch.Tensor, way: str) -> torch.Tensor:
        if way == "up":
            return image.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return functional.avg_pool2d(image, 2) if way == "down" else image

    def conv(self, name: str, image: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        padding = weight.shape[-1] // 2
        return functional.conv2d(image, weight, bias, stride, padding)

    def conv_1d(self, name: str, flat: torch.Tensor) -> torch.Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        # In consistency models it has two dimensions of size 1.
        return functional.conv1d(flat, weight.flatten(2), bias)

    def linear(self, name: str, values: torch.Tensor) -> torch.Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return functional.linear(values, weight, bias)

    def norm(self, name: str, image: torch.Tensor) -> torch.Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return functional.group_norm(image, 32, weight, bias, 1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_converted_network_returns_what_the_file_describes(name: str) -> None:
    unet = OpenAiUnet(**NETWORKS[name])
    state, settings = random_state(unet), settings_of(unet)
    weights = Weights("net.pt", to_diffusers(unet, state, "net.pt"))
    heads = settings["attention_heads"]
    network = fit_weights(assemble_unet(settings["unet"], heads), weights).eval()
    size = (2, 3, unet.image_size, unet.image_size)
    image = torch.tensor(np.random.default_rng(1).normal(size=size)).float()
    time, label = torch.tensor([7.0, 333.25]), torch.tensor([1, 999])

    expected = Reference(unet, state)(image, time, label)
    classes = {"class_labels": label} if unet.class_cond else {}
    (found,) = network(image, time, return_dict=False, **classes)

    assert expected.std() > 0.3
    difference = (found - expected).abs().max() / expected.abs().max()
    assert difference < 1e-5


@pytest.mark.parametrize("name", PRESETS)
def test_every_published_file_fills_its_network_and_leaves_nothing_over(
    name: str,
) -> None:
    unet, settings = PRESETS[name], settings_of(PRESETS[name])
    with torch.device("meta"):
        network = assemble_unet(settings["unet"], settings["attention_heads"])
        file = {key: torch.empty(shape) for key, shape in shapes(unet).items()}
        converted = to_diffusers(unet, file, name)
    found = {key: tensor.shape for key, tensor in converted.items()}
    assert found == {key: t.shape for key, t in network.state_dict().items()}
