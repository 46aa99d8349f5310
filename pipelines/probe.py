"""What the networks of a run do to a few images, measured where votes will be cast."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ops.columns import Batch, Worker
from ops.networks import read_weights
from ops.purify.one_shot_ddpm import Moment, OneShotDdpm
from ops.purify.purify import Purify
from ops.vote.add_noise import AddNoise
from pipelines.other_settings import behind_other_inputs, with_other_purifiers
from pipelines.recipe import Run
from pipelines.sample import STREAM, Sample, classes_of, psnr, stacks
from pipelines.stages import ops_of, run_op
from pipelines.worker import WorkerSettings

TIMING_SECONDS = 3.0
"""Least time over which votes per second are measured."""


@dataclass(frozen=True)
class Measured:
    """What one run's networks did to a sample; classes stand in the sample's order."""

    clean: np.ndarray
    """Classes of the images as they are, by the classifier alone."""

    noisy: np.ndarray
    """Classes of one noisy copy each, by the classifier alone."""

    purified: np.ndarray
    """Classes of the same copies purified, by the classifier alone."""

    voted: np.ndarray
    """Votes of the same copies: purified and locally smoothed; -1 for no class."""

    noisy_psnr: float
    """Mean peak signal-to-noise ratio of the noisy copies, cut to [0, 1], in dB: what
    clipping alone gives."""

    purified_psnr: float
    """The same of the purified copies."""

    votes_per_second: float
    """Of one actor, on the first image."""

    device: str
    """What it was measured on."""

    moment: Moment | None = None
    """Where in its diffusion the purifier is called; ``None`` for no such purifier."""

    other_inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Classes of the images as they are, behind other input layers, by their name."""

    other_purifiers: Mapping[str, float] = field(default_factory=dict)
    """Gain in signal-to-noise ratio under other settings of the purifier, in dB."""


def probe(run: Run, sample: Sample, settings: WorkerSettings) -> Measured:
    """Send a sample through a run's networks and time its votes.

    Args:
        run: with weights resolved.
        sample: at least one image.
        settings: of the actor that would cast the votes.

    Raises:
        ValueError: weights do not fit the networks.
    """
    worker = settings.open()
    with torch.inference_mode():
        looked = _looked_at(run, sample, worker)
        return Measured(
            **looked,
            votes_per_second=_votes_per_second(run, sample, worker),
            device=_device(worker),
            moment=_moment(run, worker),
            other_inputs=behind_other_inputs(run, sample, worker),
            other_purifiers=with_other_purifiers(run, sample, worker),
        )


def _looked_at(run: Run, sample: Sample, worker: Worker) -> dict[str, Any]:
    add = AddNoise(sigma=run.sigma, seed=run.seed, block=1, noise=run.noise)
    noise = add.open(worker)
    purify = Purify(purifier=run.purifier, sigma=run.sigma, seed=run.seed).open(worker)
    _, _, local_smooth, _ = ops_of(run)
    smooth = local_smooth.open(worker)
    classify = run.classifier.open(worker)
    classes = {name: [] for name in ("clean", "noisy", "purified", "voted")}
    ratios: dict[str, list[float]] = {"noisy_psnr": [], "purified_psnr": []}
    for columns in stacks(sample, worker.batch):
        columns = run_op(smooth, run_op(purify, run_op(noise, columns)))
        image = torch.as_tensor(columns["image"]).to(worker.device)
        noisy, purified = columns["noisy"][:, 0], columns["purified"][:, 0]
        for name, copies in (
            ("clean", image),
            ("noisy", noisy),
            ("purified", purified),
        ):
            classes[name] += classes_of(classify, copies)
        classes["voted"] += columns["vote"][:, 0].tolist()
        ratios["noisy_psnr"] += psnr(noisy.clamp(0, 1), image)
        ratios["purified_psnr"] += psnr(purified, image)
    return {name: np.array(found) for name, found in classes.items()} | {
        name: float(np.mean(found)) for name, found in ratios.items()
    }


def _votes_per_second(run: Run, sample: Sample, worker: Worker) -> float:
    functions = [op.open(worker) for op in ops_of(run)]
    _cast_block(functions, sample, 0)  # warms up
    votes, block, began = 0, 1, time.perf_counter()
    while time.perf_counter() - began < TIMING_SECONDS:
        votes += _cast_block(functions, sample, block)
        block += 1
    return votes / (time.perf_counter() - began)


def _cast_block(
    functions: Sequence[Callable[[Batch], Batch]], sample: Sample, block: int
) -> int:
    """Cast one block of votes for the first image; return how many they are."""
    columns: Any = {
        "image": sample.images[0][None],
        "image_key": [sample.keys[0]],
        "stream": [STREAM],
        "block": [block],
    }
    for function in functions:
        columns = run_op(function, columns)
    return int(columns["counts"].sum() + columns["invalid"].sum())


def _moment(run: Run, worker: Worker) -> Moment | None:
    if not isinstance(run.purifier, OneShotDdpm):
        return None
    weights = read_weights(run.purifier.weights, worker)
    return run.purifier.moment(weights, run.sigma)


def _device(worker: Worker) -> str:
    if worker.device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"
