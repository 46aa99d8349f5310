"""What a study found as figures: score against cost, and accuracy by local noises."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, cycle, groupby
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ops.score.certified_accuracy import num_certified
from pipelines.curve import Curve
from pipelines.render_curve import saved
from tune.trial import Score, Trial

_LOOK: Any = {
    "svg.hashsalt": "diffsmooth",
    "font.size": 11,
    "axes.formatter.useoffset": False,
}
_ROOM_OF_A_NUMBER = (0.05, 0.04)
"""Width and height, as shares of the axes."""


def pareto_front(trials: Sequence[Trial]) -> list[Trial]:
    """Find the trials that no other beats in cost and score at once.

    Args:
        trials: those of a study; who has not finished neither enters nor beats.

    Returns:
        Those without another of at most their cost and at least their score, better
        in one of the two; by cost, equals by number.
    """
    scored = _scored(trials)
    front = [
        trial
        for trial, score in scored
        if not any(
            (other.cost <= trial.cost and better.value > score.value)
            or (other.cost < trial.cost and better.value >= score.value)
            for other, better in scored
        )
    ]
    return sorted(front, key=lambda trial: (trial.cost, trial.number))


def draw_pareto(
    trials: Sequence[Trial], cost_unit: str, objective_name: str
) -> dict[str, bytes]:
    """Draw score against cost with the Pareto front, to the same bytes always.

    A colour per sigma, a marker per baseline, a bar for the interval of each score.
    Trials of the front have their number beside them and their setting in the legend,
    from the best score downwards as far as there is room.

    Args:
        trials: those of a study; who has not finished is left out.
        cost_unit: what the cost of an image is counted in.
        objective_name: what the score is, with its unit.

    Returns:
        The picture by format, ``svg`` and ``png``.

    Raises:
        ValueError: no trial has finished.
    """
    scored = _scored(trials)
    if not scored:
        raise ValueError(
            f"draw_pareto needs a finished trial; none of {len(trials)} is. Leave the "
            f"figure out."
        )
    costs = [trial.cost for trial, _ in scored]
    with rc_context(_LOOK):
        figure = Figure(figsize=(11, 6), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xlabel(f"cost of an image, {cost_unit}")
        axes.set_ylabel(objective_name)
        axes.set_xscale("log" if 0 < 10 * min(costs) < max(costs) else "linear")
        axes.margins(x=0.08)
        axes.grid(alpha=0.3)
        _draw_scores(axes, scored)
        _draw_front(axes, scored)
        legend = figure.legend(loc="outside right upper", fontsize=9)
        lines = "\n".join(text.get_text() for text in legend.get_texts())
        figure.set_figheight(max(6.0, 0.7 + 0.2 * len(lines.splitlines())))
        return saved(figure)


def draw_ablation(trials: Sequence[Trial], variant: str = "") -> dict[str, bytes]:
    """Draw accuracy against radius, a curve per m, to the same bytes always.

    A panel per sigma. Each curve is the trial with the best score of all that share its
    sigma and m; a triangle on the axis marks the largest radius that it can reach.

    Args:
        trials: those of a study; baselines and who has not finished are left out.
        variant: whose trials to draw.

    Returns:
        The picture by format, ``svg`` and ``png``.

    Raises:
        ValueError: no searched trial of the variant has finished.
    """
    best = _best_by_m(trials, variant)
    if not best:
        raise ValueError(
            f"draw_ablation needs a finished trial that was searched; variant "
            f"{variant!r} has none of {len(trials)} trials. Leave the figure out."
        )
    panels = [list(own) for _, own in groupby(best, lambda one: one[0].setting.sigma)]
    columns = len(panels) if len(panels) <= 3 else math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)
    size = (0.5 + 4 * columns, 0.5 + (4 + 0.2 * max(map(len, panels))) * rows)
    colours = _colours(trial.setting.num_local for trial, _ in best)
    with rc_context(_LOOK):
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw_panel(axes, panel, colours)
        largest = max(curve.largest_radius for _, curve in best)
        grid[0, 0].set_xlim(0, 1.03 * largest if largest > 0 else 1)
        grid[0, 0].set_ylim(0, 101)
        figure.supxlabel("l2 radius, in units of [0, 1] pixels", fontsize="medium")
        figure.supylabel("certified accuracy, percent", fontsize="medium")
        return saved(figure)


def _scored(trials: Sequence[Trial]) -> list[tuple[Trial, Score]]:
    return [
        (trial, trial.score)
        for trial in trials
        if trial.status == "finished" and trial.score is not None
    ]


def _draw_scores(axes: Axes, scored: Sequence[tuple[Trial, Score]]) -> None:
    colours = _colours(trial.setting.sigma for trial, _ in scored)
    for sigma, colour in colours.items():
        axes.plot([], [], "o", color=colour, label=f"sigma {sigma:g}")
    names = dict.fromkeys(trial.baseline for trial, _ in scored if trial.baseline)
    markers = {None: "o"} | dict(zip(names, cycle("Ds^vP"), strict=False))
    for name in names:
        axes.plot([], [], markers[name], mfc="none", mec="black", label=name)
    for trial, score in scored:
        colour = colours[trial.setting.sigma]
        axes.errorbar(
            [trial.cost],
            [score.value],
            np.maximum([[score.value - score.low], [score.high - score.value]], 0),
            fmt=markers[trial.baseline],
            ms=5,
            color=colour,
            ecolor=(colour, 0.35),
        )


def _draw_front(axes: Axes, scored: Sequence[tuple[Trial, Score]]) -> None:
    heights = {trial.number: score.value for trial, score in scored}
    front = pareto_front([trial for trial, _ in scored])
    places = [(trial.cost, heights[trial.number]) for trial in front]
    named = _with_room(axes, places)
    label = "Pareto front" if all(named) else "Pareto front, in part named"
    line = axes.step(*zip(*places, strict=True), "ko-", where="post", label=label)
    line[0].set(markerfacecolor="none", markersize=9, linewidth=1.2)
    halo = [patheffects.withStroke(linewidth=3, foreground="white")]
    for trial, place in compress(zip(front, places, strict=True), named):
        words = filter(None, [trial.baseline, trial.setting.name])
        name = f"{trial.number}: {', '.join(words)}"
        axes.plot([], [], " ", label=fill(name, 48, subsequent_indent="    "))
        axes.annotate(
            str(trial.number),
            place,
            xytext=(-5, 5),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            path_effects=halo,
        )


def _with_room(axes: Axes, places: Sequence[tuple[float, float]]) -> list[bool]:
    """Return which places a number fits beside, the last place first."""
    axes.autoscale_view()
    shares = (axes.transScale + axes.transLimits).transform(places)
    taken: list[np.ndarray] = []
    found = []
    for share in shares[::-1]:
        free = all((abs(share - one) > _ROOM_OF_A_NUMBER).any() for one in taken)
        taken += [share] if free else []
        found.append(free)
    return found[::-1]


def _best_by_m(trials: Sequence[Trial], variant: str) -> list[tuple[Trial, Curve]]:
    """Return the best trial of each sigma and m, in this order."""
    found: dict[tuple[float, int], tuple[Trial, Curve, float]] = {}
    for trial, score in _scored(trials):
        setting, curve = trial.setting, trial.curve
        if trial.baseline is not None or setting.variant != variant or curve is None:
            continue
        place = (setting.sigma, setting.num_local)
        if place not in found or score.value > found[place][2]:
            found[place] = (trial, curve, score.value)
    return [found[place][:2] for place in sorted(found)]


def _draw_panel(
    axes: Axes, panel: Sequence[tuple[Trial, Curve]], colours: Mapping[float, str]
) -> None:
    for trial, curve in panel:
        setting, largest = trial.setting, curve.largest_radius
        steps = np.unique(np.append(curve.radius[curve.correct], [0.0, largest]))
        shares = num_certified(curve.correct, curve.radius, steps) / curve.num_images
        colour, counted = colours[setting.num_local], f"N {setting.num_estimate:,}"
        label = f"m {setting.num_local} (sigma' {setting.local_sigma:g}, {counted})"
        axes.step(steps, 100 * shares, where="pre", color=colour, label=label)
        axes.plot([largest], [0], marker="^", ms=8, color=colour, clip_on=False)
    axes.grid(alpha=0.3)
    axes.tick_params(labelbottom=True)
    title = f"sigma {panel[0][0].setting.sigma:g}"
    # Above the axes, where it hides no curve however high.
    above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "frameon": False}
    axes.legend(title=title, title_fontsize=12, fontsize=9, **above)


def _colours(numbers: Iterable[float]) -> dict[float, str]:
    ordered = sorted(set(numbers))
    num, few = len(ordered), colormaps["tab10"]
    many = colormaps["turbo"].resampled(num)
    shades = (few if num <= few.N else many)(range(num))
    return dict(zip(ordered, map(to_hex, shades), strict=True))
