"""The curves of certified accuracy over the radius, as SVG and PNG."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ops.score.certified_accuracy import envelope, num_certified
from pipelines.cohen_log import rounded_down
from pipelines.curve import CASCADE, Curve, by_run, single

Colour = tuple[float, ...] | str

_METADATA = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
_DASHES = ("-", "--", "-.", ":")


def draw_curves(curves: Sequence[Curve]) -> dict[str, bytes]:
    """Draw every sigma and every run's envelope in one plot, to the same bytes always.

    A triangle on the axis marks the largest radius that a sigma can reach. One run has
    a colour per sigma; several have a colour per run and a dash per sigma.

    Args:
        curves: one or more, of one data set.

    Returns:
        The picture by format, ``svg`` and ``png``.
    """
    with rc_context({"svg.hashsalt": "diffsmooth", "font.size": 11}):
        figure = Figure(figsize=(10, 5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _draw_all(axes, curves)
        figure.legend(loc="outside right upper", fontsize=10)
        return saved(figure)


def _draw_all(axes: Axes, curves: Sequence[Curve]) -> None:
    runs = by_run(curves)
    colours = _colours(max(len(runs), len({curve.sigma for curve in curves})))
    several = len(runs) > 1
    for place, (run, own) in enumerate(runs.items()):
        prefix = f"{run}, " if several else ""
        colour = colours[place] if several else "black"
        _draw_envelope(axes, single(own), colour=colour, label=f"{prefix}envelope")
        for index, curve in enumerate(own):
            _draw_curve(
                axes,
                curve,
                colour=colours[place if several else index],
                dash=_DASHES[index % len(_DASHES)] if several else "-",
                label=f"{prefix}{_named(curve)}",
            )
    _label(axes, curves)


def _named(curve: Curve) -> str:
    return CASCADE if curve.sigma is None else f"sigma {curve.sigma:g}"


def _draw_curve(
    axes: Axes, curve: Curve, *, colour: Colour, dash: str, label: str
) -> None:
    largest = curve.largest_radius
    steps = np.unique(np.append(curve.radius[curve.correct], [0.0, largest]))
    shares = _percent(curve, steps)
    named = f"{label} (up to {rounded_down(largest)})"
    axes.step(steps, shares, where="pre", color=colour, linestyle=dash, label=named)
    axes.plot([largest], [0], marker="^", ms=9, color=colour, clip_on=False)


def _draw_envelope(
    axes: Axes, curves: Sequence[Curve], *, colour: Colour, label: str
) -> None:
    reached = [curve.radius[curve.correct] for curve in curves]
    ends = [0.0, *(curve.largest_radius for curve in curves)]
    steps = np.unique(np.concatenate([*reached, ends]))
    shares = np.stack([_percent(curve, steps) for curve in curves])
    best = shares[envelope(shares), np.arange(len(steps))]
    axes.step(steps, best, where="pre", color=colour, lw=5, alpha=0.3, label=label)


def _percent(curve: Curve, radii: np.ndarray) -> np.ndarray:
    certified = num_certified(curve.correct, curve.radius, radii)
    return 100 * certified / curve.num_images


def _label(axes: Axes, curves: Sequence[Curve]) -> None:
    largest = max(curve.largest_radius for curve in curves)
    axes.set_xlim(0, 1.03 * largest if largest > 0 else 1)
    axes.set_ylim(0, 101)
    axes.set_xlabel("l2 radius, in units of [0, 1] pixels")
    axes.set_ylabel("certified accuracy, percent")
    axes.set_title(curves[0].dataset)
    axes.grid(alpha=0.3)


def _colours(num: int) -> list[tuple[float, ...]]:
    few = colormaps["tab10"]
    if num <= few.N:
        return [few(index) for index in range(num)]
    return [colormaps["turbo"](index / (num - 1)) for index in range(num)]


def saved(figure: Figure) -> dict[str, bytes]:
    """Return a figure by format, the same bytes for the same figure.

    Args:
        figure: drawn with a fixed ``svg.hashsalt``.
    """
    pictures = {}
    for kind, metadata in _METADATA.items():
        picture = io.BytesIO()
        figure.savefig(picture, format=kind, dpi=150, metadata=metadata)
        pictures[kind] = picture.getvalue()
    return pictures
