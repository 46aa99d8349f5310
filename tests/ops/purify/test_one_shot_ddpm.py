import io
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from PIL import Image

from infra.weights.safetensors_file import write
from ops.columns import Worker
from ops.initialise import initialise
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.unet import build_unet, require_indexable
from ops.schedules import Schedule
from ops.weights import WeightsRef

TINY: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": [16, 16],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
COSINE = Schedule(kind="cosine", num_timesteps=1000)
Workers = Callable[..., Worker]


def noisy_copies() -> torch.Tensor:
    copies = np.random.default_rng(1).normal(0.5, 0.5, (4, 3, 8, 8))
    return torch.tensor(copies, dtype=torch.float32)


@pytest.fixture
def network() -> UNet2DModel:
    model = UNet2DModel(**TINY)
    initialise(model, 0, gain=0.5)
    return model.eval()


@pytest.fixture
def folder(network: UNet2DModel, tmp_path: Path) -> Path:
    network.save_pretrained(tmp_path / "unet")
    scheduler = DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction"
    )
    scheduler.save_pretrained(tmp_path / "scheduler")
    return tmp_path


def purifier(path: Path, **fields: Any) -> OneShotDdpm:
    return OneShotDdpm(weights=WeightsRef(path=str(path)), **fields)


@torch.no_grad()
def test_saved_network_purifies_as_diffusers_itself_does(
    folder: Path, network: UNet2DModel, worker: Workers
) -> None:
    noisy = noisy_copies()
    ours = purifier(folder).open(worker(), 0.25)(noisy)

    scheduler: Any = DDPMScheduler.from_pretrained(folder / "scheduler")
    levels = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).sqrt()
    timestep = int((levels >= 0.5).nonzero()[0])
    diffused = scheduler.alphas_cumprod[timestep].sqrt() * (2 * noisy - 1)
    output = network(diffused, timestep).sample
    step = scheduler.step(output, timestep, diffused)
    theirs = (step.pred_original_sample + 1) / 2
    assert theirs.std() > 0.05
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)


@torch.no_grad()
def test_rescaled_time_is_what_the_network_is_told(
    folder: Path, network: UNet2DModel, worker: Workers
) -> None:
    schedule = Schedule(kind="cosine", num_timesteps=4000)
    ours = purifier(
        folder, schedule=schedule, rescale_timesteps=True, prediction="x0", clip=False
    ).open(worker(), 0.25)(noisy_copies())
    root = math.sqrt(schedule.alpha_bar()[1158])
    diffused = root * (2 * noisy_copies() - 1)
    output = network(diffused, torch.tensor(289.5)).sample
    torch.testing.assert_close(ours, (output + 1) / 2, atol=1e-5, rtol=0)


@torch.no_grad()
def test_bfloat16_stays_near_float32_and_returns_float32(
    folder: Path, worker: Workers
) -> None:
    exact, rough = (
        purifier(folder).open(worker(precision), 0.25)(noisy_copies())
        for precision in (torch.float32, torch.bfloat16)
    )
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert (rough - exact).abs().mean() < 0.02


@torch.no_grad()
def test_attention_named_as_in_old_files_is_read(
    folder: Path, network: UNet2DModel, worker: Workers, tmp_path: Path
) -> None:
    old = {
        key.replace("to_q", "query")
        .replace("to_k", "key")
        .replace("to_v", "value")
        .replace("to_out.0", "proj_attn"): tensor
        for key, tensor in network.state_dict().items()
    }
    assert old.keys() != network.state_dict().keys()
    path = tmp_path / "old.safetensors"
    write(path, old, {"unet": TINY})
    from_old = purifier(path, schedule=COSINE, prediction="v").open(worker(), 0.25)
    from_new = purifier(folder).open(worker(), 0.25)
    assert torch.equal(from_old(noisy_copies()), from_new(noisy_copies()))


@torch.no_grad()
def test_untrained_network_with_learned_variance_follows_from_its_seed(
    worker: Workers,
) -> None:
    results = [
        OneShotDdpm(
            weights=WeightsRef(untrained=seed),
            schedule=COSINE,
            prediction="epsilon",
            unet=TINY | {"out_channels": 6},
        ).open(worker(), 0.5)(noisy_copies())
        for seed in (1, 1, 2)
    ]
    assert results[0].shape == noisy_copies().shape
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_class_conditional_network_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"num_class_embeds = 10\. .*true label"):
        build_unet(TINY | {"num_class_embeds": 10})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"out_channels": 4}, "3 in and 4 out"),
        ({"num_heads": 4}, "does not know 'num_heads' = 4"),
    ],
)
def test_network_that_is_no_plain_image_model_is_refused(
    setting: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_unet(TINY | setting)


def test_missing_settings_are_named(worker: Workers) -> None:
    untrained = WeightsRef(untrained=0)
    bare = OneShotDdpm(weights=untrained)
    with pytest.raises(ValueError, match=r"untrained weights of seed 0 .*`schedule`"):
        bare.open(worker(), 0.5)
    scheduled = OneShotDdpm(weights=untrained, schedule=COSINE)
    with pytest.raises(ValueError, match="Set `prediction`"):
        scheduled.open(worker(), 0.5)
    predicted = OneShotDdpm(weights=untrained, schedule=COSINE, prediction="v")
    with pytest.raises(ValueError, match="Set `unet`"):
        predicted.open(worker(), 0.5)


def test_weights_of_another_width_are_refused_by_name_and_shape(
    folder: Path, worker: Workers
) -> None:
    wider = purifier(folder, unet=TINY | {"block_out_channels": [32, 32]})
    with pytest.raises(ValueError, match=r"conv_in.weight' of shape \(16, 3, 3, 3\)"):
        wider.open(worker(), 0.25)


@pytest.mark.parametrize(("size", "most"), [(224, 83), (256, 63)])
def test_batch_that_passes_the_reach_of_32_bit_indices_is_refused(
    size: int, most: int
) -> None:
    config = {"block_out_channels": [256, 256, 512, 512, 1024, 1024]}
    require_indexable(torch.empty(most, 3, size, size, device="meta"), config)
    with pytest.raises(ValueError, match=f"at most {most} copies per call"):
        require_indexable(torch.empty(most + 1, 3, size, size, device="meta"), config)


@torch.no_grad()
def test_trained_network_removes_most_of_the_noise(worker: Workers) -> None:
    """The published pair of PSNRs at sigma 0.25 is 12.0 noisy and 24.1 dB purified."""
    folder = os.environ.get("DIFFSMOOTH_DATA")
    if folder is None or not Path(folder).is_dir():
        pytest.skip(f"DIFFSMOOTH_DATA needs to name a folder of data; it is {folder!r}")
    data = Path(folder)
    rows = pq.read_table(data / "cifar10/test.parquet")["img"].slice(0, 16).to_pylist()
    pictures = [np.asarray(Image.open(io.BytesIO(row["bytes"]))) for row in rows]
    image = torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2) / 255
    noise = np.random.default_rng(0).normal(0, 0.25, image.shape)
    noisy = image + torch.tensor(noise, dtype=torch.float32)
    purify = purifier(data / "weights/cifar10/ddpm_small").open(worker(), 0.25)

    def psnr(copies: torch.Tensor) -> float:
        return -10 * (copies - image).square().mean().log10().item()

    assert psnr(noisy) == pytest.approx(12.0, abs=0.3)
    assert psnr(purify(noisy)) == pytest.approx(24.1, abs=1.5)
