"""U-Nets of EDM's own files as denoisers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from infra.weights.safetensors_file import write
from ops.columns import Worker
from ops.initialise import initialise
from ops.purify.denoiser import Denoiser
from ops.purify.dhariwal_unet import DhariwalUnet, DhariwalUnetSettings
from ops.purify.edm import Edm
from ops.purify.edm_network import edm_network
from ops.purify.karras import precondition, skip_scale
from ops.purify.song_unet import SongUnet, SongUnetSettings
from ops.weights import Weights, WeightsRef

SHAPE = {"img_resolution": 8, "img_channels": 1, "channel_mult": [1, 2]}
SONG = SHAPE | {"model_channels": 8, "num_blocks": 1, "attn_resolutions": [4]}
ADM = SHAPE | {"model_channels": 32, "num_blocks": 1, "attn_resolutions": [4]}
NCSN = SONG | {
    "embedding_type": "fourier",
    "encoder_type": "residual",
    "channel_mult_noise": 2,
    "resample_filter": [1, 3, 3, 1],
}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("song_unet", SONG),
    ("song_unet", NCSN),
    ("dhariwal_unet", ADM),
]
Saved = Callable[..., str]


def filled(arch: str, settings: dict[str, Any]) -> nn.Module:
    network: nn.Module
    if arch == "song_unet":
        network = SongUnet(SongUnetSettings(**settings))
    else:
        network = DhariwalUnet(DhariwalUnetSettings(**settings))
    initialise(network, seed=0, gain=0.5)
    for name, buffer in network.named_buffers():
        if name.endswith("freqs"):
            buffer.copy_(torch.linspace(-2.0, 2.0, len(buffer)))
    return network


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Return what writes a network as EDM names its tensors."""

    def save(arch: str, settings: dict[str, Any], **said: Any) -> str:
        state = filled(arch, settings).state_dict()
        tensors = {f"model.{name}": state[name] for name in state}
        path = tmp_path / "net.safetensors"
        write(path, tensors, {"arch": arch, "network": settings, **said})
        return str(path)

    return save


def opened(path: str, worker: Worker, **fields: Any) -> Denoiser:
    return Edm(weights=WeightsRef(path=path), **fields).open_denoiser(worker)


def images(number: int = 3) -> torch.Tensor:
    return torch.randn(number, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize(("arch", "settings"), CASES)
def test_denoiser_is_the_preconditioned_network(
    arch: str, settings: dict, saved: Saved, worker: Callable[..., Worker]
) -> None:
    levels = torch.tensor([0.1, 0.7, 4.0])
    path = saved(arch, settings, preconditioning={"sigma_data": 0.7, "sigma_max": 9.0})
    denoiser = opened(path, worker())
    expected = precondition(filled(arch, settings), levels, 0.7)(images())
    torch.testing.assert_close(denoiser(images(), levels), expected)
    assert denoiser.highest == 9.0
    with pytest.raises(ValueError, match=r"up to 4\.5 .*sigma is 5"):
        denoiser.require(10.0)


@torch.no_grad()
@pytest.mark.parametrize(("arch", "settings"), CASES)
def test_image_without_noise_is_left_alone(
    arch: str, settings: dict, saved: Saved, worker: Callable[..., Worker]
) -> None:
    denoiser = opened(saved(arch, settings), worker())
    noisy = images()
    errors = [(denoiser(noisy, s) - noisy).abs().max().item() for s in (1e-2, 1e-6)]
    assert errors[1] < 1e-4 < errors[0]


@torch.no_grad()
def test_silent_network_leaves_the_skip_alone(
    saved: Saved, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    network = filled("song_unet", SONG)
    for parameter in network.get_submodule("dec.8x8_aux_conv").parameters():
        parameter.zero_()
    said = {"arch": "song_unet", "network": SONG}
    write(tmp_path / "silent.safetensors", network.state_dict(), said)
    level = torch.full((3,), 0.8)
    expected = skip_scale(level, 0.5).view(-1, 1, 1, 1) * images()
    denoiser = opened(str(tmp_path / "silent.safetensors"), worker())
    torch.testing.assert_close(denoiser(images(), 0.8), expected)
    assert denoiser.highest == 80.0


@torch.no_grad()
@pytest.mark.parametrize(("arch", "settings"), CASES)
def test_copies_do_not_see_each_other(arch: str, settings: dict) -> None:
    network, noisy = filled(arch, settings), images()
    time = torch.tensor([-1.0, 0.1, 0.5])
    alone = [network(noisy[i, None], time[i, None]) for i in range(3)]
    torch.testing.assert_close(network(noisy, time), torch.cat(alone))


@torch.no_grad()
@pytest.mark.parametrize(("arch", "settings"), CASES)
def test_half_precision_differs_by_its_rounding(
    arch: str, settings: dict, saved: Saved, worker: Callable[..., Worker]
) -> None:
    path = saved(arch, settings)
    full = opened(path, worker())(images(), 0.7)
    half = opened(path, worker(torch.bfloat16))(images(), 0.7)
    assert half.dtype == torch.float32
    assert 0 < (half - full).abs().max() < 0.05 * full.abs().max()


@torch.no_grad()
@pytest.mark.parametrize(
    ("arch", "settings"), [("song_unet", SONG), ("dhariwal_unet", ADM)]
)
def test_classes_are_told_only_as_none_and_only_if_asked(
    arch: str, settings: dict, saved: Saved, worker: Callable[..., Worker]
) -> None:
    settings = settings | {"label_dim": 4}
    path, network = saved(arch, settings), filled(arch, settings)
    with pytest.raises(ValueError, match=r"has label_dim 4\. .*voids the certificate"):
        opened(path, worker())
    level = torch.full((3,), 0.7)
    expected = {
        told: precondition(
            lambda scaled, time, told=told: network(
                scaled, time, torch.full((3, 4), told)
            ),
            level,
            0.5,
        )(images())
        for told in (0.0, 1.0)
    }
    denoised = opened(path, worker(), label="null_class")(images(), level)
    torch.testing.assert_close(denoised, expected[0.0])
    assert (denoised - expected[1.0]).abs().max() > 1e-3


def test_label_for_a_network_without_classes_is_refused(
    saved: Saved, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"net\.safetensors is none\. Drop label"):
        opened(saved("song_unet", SONG), worker(), label="null_class")
    write(tmp_path / "other.safetensors", {"conv_in.weight": torch.ones(1)}, {})
    with pytest.raises(ValueError, match=r"other\.safetensors is none\. Drop label"):
        opened(str(tmp_path / "other.safetensors"), worker(), label="null_class")


@pytest.mark.parametrize("field", ["unet", "scheduler"])
def test_settings_of_another_kind_of_network_are_refused(
    field: str, saved: Saved, worker: Callable[..., Worker]
) -> None:
    with pytest.raises(ValueError, match=rf"the recipe has {field}, .*Drop {field}"):
        opened(saved("song_unet", SONG), worker(), **{field: {"in_channels": 1}})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"encoder_type": "skip"}, "for encoder_type 'skip'"),
        ({"decoder_type": "skip"}, "for decoder_type 'skip'"),
        ({"num_block": 2}, "for num_block 2: Extra inputs"),
        ({"img_resolution": 7}, "can halve 1 times; it is 7"),
        ({"model_channels": 10}, "model_channels in fours, .* it has 10"),
        ({"resample_filter": [1]}, "for resample_filter"),
        ({"num_blocks": 2}, "has no 'enc.8x8_block1"),
        ({"img_channels": 3}, "of shape"),
    ],
)
def test_settings_that_describe_no_such_network_are_refused(
    changed: dict, message: str
) -> None:
    weights = Weights(
        "net.pkl",
        filled("song_unet", SONG).state_dict(),
        {"arch": "song_unet", "network": SONG | changed},
    )
    with pytest.raises(ValueError, match=rf"net\.pkl has .*{message}|{message}"):
        edm_network(weights)


def test_levels_out_of_range_are_refused(
    saved: Saved, worker: Callable[..., Worker]
) -> None:
    path = saved("song_unet", SONG, preconditioning={"sigma_data": 0.0})
    with pytest.raises(ValueError, match=r"has for sigma_data 0\.0"):
        opened(path, worker())


def test_what_only_training_reads_is_left_out() -> None:
    tensors = filled("song_unet", SONG).state_dict()
    weights = Weights(
        "net.pkl",
        {**tensors, "map_augment.weight": torch.ones(8, 9)},
        {"arch": "song_unet", "network": SONG},
    )
    assert edm_network(weights).state_dict().keys() == tensors.keys()


def test_images_of_another_size_are_refused(
    saved: Saved, worker: Callable[..., Worker]
) -> None:
    denoiser = opened(saved("song_unet", SONG), worker())
    with pytest.raises(ValueError, match=r"has .* \(1, 8, 8\), the images \(1, 16, 1"):
        denoiser(torch.zeros(2, 1, 16, 16), 0.5)
