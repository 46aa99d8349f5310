"""Whether settings other than the recipe's do better: they are then the right ones."""

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import torch

from ops.classify.classifier import Classifier
from ops.classify.ensemble import Ensemble, Member
from ops.classify.input_layer import PRESETS, InputLayer
from ops.columns import Worker
from ops.networks import read_weights
from ops.purify.one_shot import Prediction
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.purify import Purify
from ops.purify.scheduler_settings import prediction_of, schedule_of
from ops.schedules import Schedule
from ops.vote.add_noise import AddNoise
from pipelines.recipe import Run
from pipelines.sample import Sample, classes_of, psnr, stacks
from pipelines.stages import run_op

OFTEN = 1000
"""Timesteps of most diffusion models."""

NUM_PURIFIED = 16
"""Images on which other settings of a purifier are tried."""


def behind_other_inputs(
    run: Run, sample: Sample, worker: Worker
) -> dict[str, np.ndarray]:
    """Classify the images behind the input layers that the classifier might want.

    Args:
        run: with weights resolved.
        sample: images of three channels; for others there is no usual layer.
        worker: where to compute.

    Returns:
        Classes by what a recipe would give ``classifier.input``, or ``input`` of all
        members of an ensemble at once; empty where the weights' files say their input
        layer themselves.
    """
    free = _of_unknown_input(run.classifier, worker)
    channels = {image.shape[0] for image in sample.images}
    if not free or channels != {3}:
        return {}
    taken = {member.input for member in free}
    found = {}
    for name, layer in candidates(taken.pop() if len(taken) == 1 else None).items():
        classify = _behind(run.classifier, layer, free).open(worker)
        classes: list[int] = []
        for columns in stacks(sample, worker.batch):
            image = torch.as_tensor(columns["image"]).to(worker.device)
            classes += classes_of(classify, image)
        found[name] = np.array(classes)
    return found


def _of_unknown_input(classifier: Classifier, worker: Worker) -> list[Member]:
    """Return the networks whose input layer is the recipe's word alone."""
    ensemble = isinstance(classifier, Ensemble)
    return [
        member
        for member in (classifier.members if ensemble else (classifier,))
        if member.weights.untrained is None
        and "input" not in worker.weights(member.weights).config
    ]


def _behind(
    classifier: Classifier, layer: InputLayer, free: Sequence[Member]
) -> Classifier:
    """Return a classifier with another input layer before some of its networks."""
    if isinstance(classifier, Ensemble):
        members = tuple(
            one.model_copy(update={"input": layer}) if one in free else one
            for one in classifier.members
        )
        return classifier.model_copy(update={"members": members})
    return classifier.model_copy(update={"input": layer})


def candidates(taken: InputLayer | None) -> dict[str, InputLayer]:
    """Return the usual input layers for colours, without the one that is taken.

    Args:
        taken: the recipe's.

    Returns:
        Layers by the value a recipe gives ``classifier.input``.
    """
    named: Sequence[str] = [*PRESETS, "none"]
    layers = {name: InputLayer.model_validate(name) for name in named}
    return {name: layer for name, layer in layers.items() if layer != taken}


def with_other_purifiers(run: Run, sample: Sample, worker: Worker) -> dict[str, float]:
    """Purify a few images under the settings that the purifier might want.

    Args:
        run: with weights resolved.
        sample: of which the first images are taken.
        worker: where to compute.

    Returns:
        Gain in peak signal-to-noise ratio, in dB, by the setting.
    """
    purifier = run.purifier
    if not isinstance(purifier, OneShotDdpm) or purifier.weights.untrained is not None:
        return {}
    few = Sample(
        sample.keys[:NUM_PURIFIED],
        sample.labels[:NUM_PURIFIED],
        sample.images[:NUM_PURIFIED],
    )
    own = _purified_psnr(run, few, worker)
    return {
        name: _purified_psnr(changed, few, worker) - own
        for name, changed in _other_runs(run, purifier, worker).items()
    }


def _other_runs(run: Run, purifier: OneShotDdpm, worker: Worker) -> dict[str, Run]:
    weights = read_weights(purifier.weights, worker)
    scheduler = weights.config.get("scheduler", {})
    schedule = purifier.schedule or schedule_of(scheduler, weights.source)
    prediction = purifier.prediction or prediction_of(scheduler, weights.source)
    changes: dict[str, dict[str, Any]] = {
        f"prediction={other}": {"prediction": other}
        for other in get_args(Prediction)
        if other != prediction
    }
    for other in _schedules(schedule.num_timesteps):
        if other != schedule:
            told = other.model_dump_json(exclude_none=True)
            changes[f"schedule={told}"] = {"schedule": other}
    told = purifier.moment(weights, run.sigma)
    if told.num_timesteps != OFTEN:
        rescaled = told.embedded != told.timestep
        changes[f"rescale_timesteps={str(not rescaled).lower()}"] = {
            "rescale_timesteps": not rescaled
        }
    return {
        name: run.model_copy(update={"purifier": purifier.model_copy(update=change)})
        for name, change in changes.items()
    }


def _schedules(num_timesteps: int) -> list[Schedule]:
    """Return the usual schedules, which cover the same noise at any length."""
    start, end = (beta * OFTEN / num_timesteps for beta in (0.0001, 0.02))
    return [
        Schedule(kind="cosine", num_timesteps=num_timesteps),
        Schedule(
            kind="linear",
            num_timesteps=num_timesteps,
            beta_start=start,
            beta_end=end,
        ),
    ]


def _purified_psnr(run: Run, sample: Sample, worker: Worker) -> float:
    noise = AddNoise(sigma=run.sigma, seed=run.seed, block=1, noise=run.noise).open(
        worker
    )
    purify = Purify(purifier=run.purifier, sigma=run.sigma, seed=run.seed).open(worker)
    ratios: list[float] = []
    for columns in stacks(sample, worker.batch):
        columns = run_op(purify, run_op(noise, columns))
        image = torch.as_tensor(columns["image"]).to(worker.device)
        ratios += psnr(columns["purified"][:, 0], image)
    return float(np.mean(ratios))
