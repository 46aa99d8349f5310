"""The winner of a study against each other trial, on the same images."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ops.score.paired import Paired, holm, mcnemar
from pipelines.curve import Curve, radius_name
from tune.trial import Trial

SIGNIFICANT = 0.05
"""Largest adjusted p-value that counts as a difference."""

_MOST_NAMED = 10


@dataclass(frozen=True)
class Comparison:
    """The winner and one other trial, by the images that tell them apart."""

    other: Trial
    num_images: int
    """Images that both have, whether certified or not."""

    only_winner: int
    """Images that only the winner certifies rightly."""

    only_other: int
    """Images that only the other certifies rightly."""

    p_value: float
    p_adjusted: float
    """For having made as many tests as there are comparisons."""

    @property
    def significant(self) -> bool:
        """Whether the two differ by more than chance."""
        return self.p_adjusted <= SIGNIFICANT


def compare(trials: Sequence[Trial], winner: Trial, radius: float) -> list[Comparison]:
    """Test whether the winner certifies as many images as each other trial.

    Args:
        trials: those of the study; the winner may be among them, and who shares no
            image with it is left out.
        winner: one with certificates.
        radius: where to compare, an l2 distance in [0, 1] pixels.

    Returns:
        A comparison per other trial, the smallest p-value first.

    Raises:
        ValueError: the winner has no certificates.
    """
    if winner.curve is None:
        raise ValueError(
            f"compare needs a winner with certificates; trial {winner.number} is "
            f"{winner.status} and has none. Choose among the finished trials."
        )
    own = _certified(winner.curve, radius)
    tested: list[tuple[Trial, int, Paired]] = []
    for trial in trials:
        if trial.curve is None or trial.number == winner.number:
            continue
        others = _certified(trial.curve, radius)
        shared = [key for key in own if key in others]
        if shared:
            pairs = np.array([(own[key], others[key]) for key in shared])
            tested.append((trial, len(shared), mcnemar(pairs[:, 0], pairs[:, 1])))
    adjusted = holm([paired.p_value for *_, paired in tested])
    found = [
        Comparison(trial, num_images, *paired, p_adjusted)
        for (trial, num_images, paired), p_adjusted in zip(
            tested, adjusted, strict=True
        )
    ]
    return sorted(found, key=lambda one: (one.p_value, one.other.number))


def paired_csv(comparisons: Sequence[Comparison]) -> str:
    """Write comparisons as CSV, a line each, numbers in full."""
    header = ["number", "setting", "images", "only_winner", "only_other", "p_value"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header, "p_adjusted", f"significant_at_{SIGNIFICANT}"])
    for one in comparisons:
        line = [one.other.number, _name(one.other), one.num_images, one.only_winner]
        line += [one.only_other, one.p_value, one.p_adjusted, one.significant]
        writer.writerow(line)
    return text.getvalue()


def paired_lines(
    comparisons: Sequence[Comparison], winner: Trial, radius: float
) -> list[str]:
    """Say in sentences who differs from the winner, and who does not.

    Args:
        comparisons: as ``compare`` returns them.
        winner: what they were compared with.
        radius: where they were compared, an l2 distance in [0, 1] pixels.

    Returns:
        Sentences for a report; of those that do not differ at most ten are named.
    """
    if not comparisons:
        return ["No other trial has certificates of the winner's images."]
    differ = [one for one in comparisons if one.significant]
    worse = sum(one.only_winner > one.only_other for one in differ)
    lines = [
        f"Significantly different from the winner, trial {winner.number} "
        f"({_name(winner)}), at radius {radius_name(radius)}: {len(differ)} of "
        f"{len(comparisons)} other trials, {worse} with fewer certified images and "
        f"{len(differ) - worse} with more (exact McNemar tests on the same images, "
        f"Holm-adjusted p at most {SIGNIFICANT}).",
        "The winner was chosen on these images, which makes differences look surer "
        "than they are: images held out decide.",
    ]
    alike = [one for one in comparisons if not one.significant]
    return lines + _alike_line(alike) + _fewer_line(comparisons, winner)


def _alike_line(alike: Sequence[Comparison]) -> list[str]:
    if not alike:
        return []
    # Those that the test is least able to tell apart are the ones to know of.
    ordered = sorted(alike, key=lambda one: (-one.p_value, one.other.number))
    named = [
        f"trial {one.other.number} ({_name(one.other)}; {one.only_winner} against "
        f"{one.only_other} images, adjusted p {one.p_adjusted:.2g})"
        for one in ordered[:_MOST_NAMED]
    ]
    more = len(alike) - len(named)
    rest = f" and {more} more" if more else ""
    return [f"Not significantly different from it: {', '.join(named)}{rest}."]


def _fewer_line(comparisons: Sequence[Comparison], winner: Trial) -> list[str]:
    all_images = winner.curve.num_images if winner.curve else 0
    fewer = [one.num_images for one in comparisons if one.num_images < all_images]
    if not fewer:
        return []
    low, high = f"{min(fewer):,}", f"{max(fewer):,}"
    span = low if low == high else f"{low} to {high}"
    return [
        f"Compared on fewer than the winner's {all_images:,} images: {len(fewer)} of "
        f"the other trials, on the {span} that they share with it."
    ]


def _certified(curve: Curve, radius: float) -> dict[str, bool]:
    reached = curve.correct & (curve.radius >= radius)
    return dict(zip(curve.column("image_key"), reached.tolist(), strict=True))


def _name(trial: Trial) -> str:
    return ", ".join(filter(None, [trial.baseline, trial.setting.name]))
