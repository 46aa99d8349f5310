import math

import pytest
import torch

from infra.weights.openai_layout import key_map, shapes
from infra.weights.openai_presets import PRESETS, fitting_presets, preset


def file_of(name: str) -> dict[str, torch.Tensor]:
    found = shapes(preset(name))
    return {key: torch.empty(shape, device="meta") for key, shape in found.items()}


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("256x256_diffusion_uncond", 552_814_086),
        ("64x64_diffusion", 295_904_454),
        ("cifar10_uncond_50M_500K", 52_546_438),
    ],
)
def test_published_networks_have_their_published_number_of_parameters(
    name: str, published: int
) -> None:
    assert sum(map(math.prod, shapes(preset(name)).values())) == published


@pytest.mark.parametrize("name", PRESETS)
def test_no_two_tensors_of_a_file_get_one_name(name: str) -> None:
    names = [new for names in key_map(PRESETS[name]).values() for new in names]
    assert len(names) == len(set(names)) > len(shapes(PRESETS[name]))


def test_every_preset_that_fits_a_file_is_listed() -> None:
    alike = ["lsun_bedroom", "lsun_cat", "lsun_horse", "lsun_horse_nodropout"]
    fitting = fitting_presets(file_of("lsun_cat"))
    assert fitting == ["256x256_diffusion_uncond", *alike]
    assert fitting_presets(file_of("64x64_diffusion")) == ["64x64_diffusion"]


@pytest.mark.parametrize("of", ["imagenet64", "bedroom256", "cat256"])
def test_consistency_models_of_one_size_are_told_apart_by_name_alone(of: str) -> None:
    fitting = fitting_presets(file_of(f"cd_{of}_lpips"))
    assert {f"cd_{of}_l2", f"cd_{of}_lpips", f"ct_{of}"} <= set(fitting)
    assert all(name.startswith(("cd_", "ct_")) for name in fitting)


def test_consistency_models_attend_by_convolutions_of_two_dimensions() -> None:
    theirs, usual = (
        shapes(preset(name)) for name in ("cd_imagenet64_l2", "64x64_diffusion")
    )
    other = {key for key in usual if theirs[key] != usual[key]}
    attention = {key for key in usual if key.endswith(("qkv.weight", "out.weight"))}
    assert theirs.keys() == usual.keys()
    assert other == attention | {"out.2.weight", "out.2.bias"}
    assert all(theirs[key] == (*usual[key], 1) for key in attention)


def test_one_tensor_more_or_of_another_shape_fits_nothing() -> None:
    file = file_of("64x64_diffusion")
    assert fitting_presets(file | {"more": torch.zeros(1)}) == []
    assert fitting_presets(file | {"out.2.bias": torch.zeros(3)}) == []
    assert fitting_presets({}) == []


def test_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'adm'\. Name one of 64x64_diffusion, "):
        preset("adm")
