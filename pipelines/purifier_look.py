"""What a run's purifier makes of noisy copies, measured where votes would be cast."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ops.columns import Batch, Worker, in_batches
from ops.losses.metric import Metric
from ops.pixels import to_bytes, to_signed
from ops.vote.majority import majority
from pipelines.recipe import Run
from pipelines.sample import STREAM, Sample, psnr, stacks
from pipelines.stages import ops_of, run_op
from pipelines.worker import WorkerSettings

TIMING_SECONDS = 1.0
"""Least time over which the seconds of a copy are measured."""

Opened = Callable[[Batch], Batch]


@dataclass(frozen=True)
class Looked:
    """One noisy copy of each image and what became of it, in the sample's order.

    Where a copy has several purified ones, their majority is its class, and the first
    of them stands for all else.
    """

    noisy_psnr: np.ndarray
    """Peak signal-to-noise ratios of the noisy copies, cut to [0, 1], in dB."""

    purified_psnr: np.ndarray
    """The same of the purified copies, as the classifier gets them, not cut."""

    noisy_distance: np.ndarray
    """Distances of the noisy copies, cut to [0, 1], from the images."""

    purified_distance: np.ndarray
    """The same of the purified copies, cut too."""

    mean_left: np.ndarray
    """Means over pixels of what the purified copies differ by, not cut."""

    square_left: np.ndarray
    """Means over pixels of its squares."""

    clean_class: np.ndarray
    """Classes of the images as they are; -1 for none."""

    purified_class: np.ndarray
    """Classes of the purified copies; -1 for none."""

    seconds_per_copy: float
    """Of the purifier alone, in calls as full as a run's."""

    device: str
    """What it was measured on."""

    noisy: np.ndarray
    """uint8 ``image channel height width`` of the first noisy copies."""

    purified: np.ndarray
    """The same of the first purified copies."""


def look(
    run: Run,
    sample: Sample,
    settings: WorkerSettings,
    metric: Metric,
    num_pictured: int,
) -> Looked:
    """Send a noisy copy of each image through the ops of a run, and measure.

    The noise of a copy hangs on the run's seed, sigma and the image's key alone, so two
    runs that share these meet the same noisy copies.

    Args:
        run: with weights resolved.
        sample: at least one image, all of one shape.
        settings: of the actor that would cast the votes.
        metric: distance of two images.
        num_pictured: images whose copies are returned, or as many as there are.

    Raises:
        ValueError: weights do not fit the networks.
    """
    worker = settings.open()
    add, purifying, _, _ = ops_of(run)
    noise = add.model_copy(update={"block": 1}).open(worker)
    purify = purifying.open(worker)
    classify = run.classifier.open(worker)
    distance = metric.open(worker)
    found: dict[str, list[np.ndarray]] = {}
    with torch.inference_mode():
        for columns in stacks(sample, worker.batch):
            columns = run_op(purify, run_op(noise, columns))
            image = torch.as_tensor(columns["image"]).to(worker.device)
            noisy, purified = columns["noisy"][:, 0], columns["purified"]
            measured = {
                **_differences(image, noisy, purified[:, 0], distance),
                "clean_class": _classes(classify, image[:, None], worker),
                "purified_class": _classes(classify, purified, worker),
                "noisy": to_bytes(noisy),
                "purified": to_bytes(purified[:, 0]),
            }
            for name, values in measured.items():
                found.setdefault(name, []).append(values.cpu().numpy())
        seconds = _seconds_per_copy(run, sample, worker, purify)
    columns = {name: np.concatenate(parts) for name, parts in found.items()}
    pictures = {name: columns.pop(name)[:num_pictured] for name in _PICTURES}
    return Looked(
        **columns, **pictures, seconds_per_copy=seconds, device=_device(worker)
    )


_PICTURES = ("noisy", "purified")


def _differences(
    image: torch.Tensor,
    noisy: torch.Tensor,
    purified: torch.Tensor,
    distance: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> dict[str, torch.Tensor]:
    clean, left = to_signed(image), (purified - image).double().flatten(1)
    return {
        "noisy_psnr": torch.tensor(psnr(noisy.clamp(0, 1), image), dtype=torch.float64),
        "purified_psnr": torch.tensor(psnr(purified, image), dtype=torch.float64),
        "noisy_distance": distance(to_signed(noisy.clamp(0, 1)), clean),
        "purified_distance": distance(to_signed(purified.clamp(0, 1)), clean),
        "mean_left": left.mean(dim=1),
        "square_left": left.square().mean(dim=1),
    }


def _classes(
    classify: Callable[[torch.Tensor], torch.Tensor],
    samples: torch.Tensor,
    worker: Worker,
) -> torch.Tensor:
    """Return the class that most samples of each row get; -1 for none."""
    logits = in_batches(classify, samples.flatten(0, 1), worker.batch)
    found = torch.where(logits.isnan().any(dim=1), -1, logits.argmax(dim=1))
    return majority(found.unflatten(0, samples.shape[:2]))


def _seconds_per_copy(
    run: Run, sample: Sample, worker: Worker, purify: Opened
) -> float:
    """Time full calls on copies of the first image, once the purifier is warm."""
    add = ops_of(run)[0].model_copy(update={"block": worker.batch})
    row = {"image_key": [sample.keys[0]], "stream": [STREAM], "block": [1]}
    columns = run_op(add.open(worker), {"image": sample.images[0][None], **row})
    copies, began = 0, time.perf_counter()
    while not copies or time.perf_counter() - began < TIMING_SECONDS:
        # The sum waits for the device.
        run_op(purify, columns)["purified"].sum().item()
        copies += worker.batch
    return (time.perf_counter() - began) / copies


def _device(worker: Worker) -> str:
    return torch.cuda.get_device_name() if worker.device.type == "cuda" else "cpu"
