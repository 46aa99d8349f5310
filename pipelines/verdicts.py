"""What a doctor says of pixels, noise, purifier and speed: pass, warn or fail."""

import math

import numpy as np
from scipy.stats import binom

from ops.vote.streams import num_copies
from pipelines.check import CHANCE, Check
from pipelines.probe import Measured
from pipelines.reading import reading_of
from pipelines.recipe import Run
from pipelines.references import is_untrained
from pipelines.sample import Sample

BETTER_DB = 1.0
"""Gain from which another setting of a purifier is taken to be the right one."""

SAMPLING = ("pf_ode", "reverse_chain", "consistency")
"""Purifiers that return an image a copy may come from, not the mean of all of them."""

_NO_MEAN = "an image that a copy may come from can differ more than a little noise does"
_LOOK = "Look at its pictures: diffsmooth inspect-purifier RECIPE."


def judge_pixels(sample: Sample) -> Check:
    """Return whether pixels look like those of images in [0, 1].

    Args:
        sample: decoded images.
    """
    low = min(float(image.min()) for image in sample.images)
    high = max(float(image.max()) for image in sample.images)
    flat = sum(float(image.max() - image.min()) < 1 / 255 for image in sample.images)
    found = f"between {low:.3f} and {high:.3f}"
    if high <= 2 / 255:
        return Check(
            "pixel range", "fail", found, "The images were divided by 255 before."
        )
    if flat:
        return Check(
            "pixel range",
            "warn",
            f"{found}; {flat} of {len(sample.images)} images have one colour",
            "Look at the images; data.preprocess may crop them away.",
        )
    return Check("pixel range", "pass", found)


def judge_noise(measured: Measured, sample: Sample, run: Run) -> list[Check]:
    """Return what noise, purifier and local smoothing do at one sigma.

    Args:
        measured: of the sample.
        sample: with the true classes.
        run: at this sigma.
    """
    return [
        _scales(measured, run),
        _purifier(measured, run),
        *_purifier_settings(measured, run),
        _accuracy_under_noise(measured, np.array(sample.labels), run),
    ]


def _scales(measured: Measured, run: Run) -> Check:
    """Return one noise in all units in which people name it."""
    found = f"sigma {run.sigma:g} of [0, 1] pixels is {2 * run.sigma:g} of [-1, 1]"
    moment = measured.moment
    if moment is not None:
        found += (
            f" and timestep {moment.timestep} of {moment.num_timesteps}, told to the "
            f"network as {moment.embedded:g}, with alpha_bar {moment.alpha_bar:.6f}"
        )
    return Check(f"scale at {run.sigma:g}", "pass", found)


def _purifier(measured: Measured, run: Run) -> Check:
    name = f"purifier at {run.sigma:g}"
    before, after = measured.noisy_psnr, measured.purified_psnr
    if run.purifier.kind == "nothing":
        return Check(name, "pass", f"none; noisy copies have {before:.1f} dB, clipped")
    found = f"PSNR {before:.1f} dB clipped, {after:.1f} dB purified"
    if after > before:
        return Check(name, "pass", found)
    if run.purifier.kind in SAMPLING:
        return Check(name, "warn", f"{found}: {_NO_MEAN}", _LOOK)
    untrained = is_untrained(run.purifier)
    return Check(
        name,
        "warn" if untrained else "fail",
        f"{found}: {'the weights are untrained' if untrained else 'it harms'}",
        ""
        if untrained
        else "Check the purifier's schedule, prediction and rescale_timesteps; weights "
        "converted with the wrong attention order look like this too.",
    )


def _purifier_settings(measured: Measured, run: Run) -> list[Check]:
    """Return whether the purifier denoises better under another setting."""
    if not measured.other_purifiers:
        return []
    name = f"settings at {run.sigma:g}"
    best = max(measured.other_purifiers, key=lambda k: measured.other_purifiers[k])
    gain = measured.other_purifiers[best]
    if not gain > BETTER_DB:  # nor NaN
        return [Check(name, "pass", "no usual schedule or prediction denoises better")]
    remedy = f"--set purifier.{best}, if the network was trained so."
    return [Check(name, "fail", f"{gain:+.1f} dB with {best}", remedy)]


def _accuracy_under_noise(measured: Measured, labels: np.ndarray, run: Run) -> Check:
    name = f"accuracy at {run.sigma:g}"
    noisy, purified, voted = (
        100 * float((classes == labels).mean())
        for classes in (measured.noisy, measured.purified, measured.voted)
    )
    found = f"{noisy:.1f} % noisy, {purified:.1f} % purified, {voted:.1f} % of votes"
    right, num = int((measured.voted == labels).sum()), len(labels)
    if binom.sf(right - 1, num, 1 / run.classifier.num_classes) > CHANCE:
        remedy = "Nearly all images will abstain; lower sigma or take other weights."
        return Check(name, "warn", f"{found}: no better than chance", remedy)
    return Check(name, "pass", found)


def judge_speed(measured: Measured, run: Run, *, num_images: int, actors: int) -> Check:
    """Return how long the run will take, and the largest radius it can certify.

    Args:
        measured: of the sample.
        run: at one sigma.
        num_images: images asked for.
        actors: that cast votes at the same time.
    """
    reading = reading_of(run, num_images)
    each = sum(
        blocks * num_copies(stream, run.sampling.block)
        for stream, blocks in reading.blocks.items()
    )
    hours = num_images * each / (measured.votes_per_second * actors) / 3600
    radius = reading.largest_radius
    at_most = "" if reading.table is None else "at most "
    found = (
        f"{measured.votes_per_second:,.1f} votes/s per actor on {measured.device}; "
        f"{num_images:,} images take about {at_most}{_duration(hours)} "
        f"with {actors} actors; largest radius {math.floor(radius * 1000) / 1000}"
    )
    return Check(f"speed at {run.sigma:g}", "pass", found)


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:.1f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
