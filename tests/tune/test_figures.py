from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from tune.figures import draw_ablation, draw_pareto, pareto_front
from tune.trial import Score, Trial

MakeTrial = Callable[..., Trial]
Draw = Callable[[Callable[[], object]], Figure]


def pareto(trials: Sequence[Trial]) -> dict[str, bytes]:
    return draw_pareto(trials, "FLOPs", "ACR")


def a_score(value: float) -> Score:
    return Score(value, value - 0.02, value + 0.01)


def words(texts: Sequence[Any]) -> list[str]:
    return [" ".join(text.get_text().split()) for text in texts]


def test_front_is_all_that_no_other_beats(a_trial: MakeTrial) -> None:
    generator = np.random.default_rng(0)
    # Few values, so that many tie in one or both.
    costs = generator.integers(0, 12, 200).astype(float)
    values = costs + generator.integers(0, 4, 200)
    trials = [
        a_trial(i, cost=cost, score=a_score(value))
        for i, (cost, value) in enumerate(zip(costs, values, strict=True))
    ]

    cheaper, better = costs[:, None] - costs, values - values[:, None]
    no_worse = (cheaper >= 0) & (better >= 0)
    beaten = (no_worse & ((cheaper > 0) | (better > 0))).any(axis=1)
    expected = sorted(np.flatnonzero(~beaten), key=lambda i: (costs[i], i))

    assert 12 < len(expected) < 100
    assert [trial.number for trial in pareto_front(trials)] == expected


def test_front_grows_in_cost_and_score(a_trial: MakeTrial) -> None:
    places = [(3.0, 0.5), (1.0, 0.2), (2.0, 0.1), (3.0, 0.4), (2.0, 0.3)]
    trials = [a_trial(i, cost=c, score=a_score(v)) for i, (c, v) in enumerate(places)]

    assert [trial.number for trial in pareto_front(trials)] == [1, 4, 0]


@pytest.mark.parametrize("status", ["stopped", "refused", "failed"])
def test_who_has_not_finished_neither_enters_the_front_nor_beats(
    a_trial: MakeTrial, status: str
) -> None:
    finished = a_trial(0, cost=2.0, score=a_score(0.5))
    other = a_trial(1, cost=1.0, score=a_score(0.9), status=status)

    assert pareto_front([other, finished]) == [finished]


@pytest.mark.parametrize("draw", [pareto, draw_ablation])
def test_same_trials_give_the_same_bytes(
    a_trial: MakeTrial, draw: Callable[[Sequence[Trial]], dict[str, bytes]]
) -> None:
    trials = [a_trial(0), a_trial(1, sigma=0.5, cost=2.0, score=a_score(0.9))]

    once, again = draw(trials), draw(trials)

    assert once == again
    assert set(once) == {"svg", "png"}
    assert once["png"].startswith(b"\x89PNG")
    assert ElementTree.fromstring(once["svg"]).tag.endswith("svg")


def test_legend_names_sigmas_baselines_and_the_front_and_no_one_else(
    a_trial: MakeTrial, drawn: Draw
) -> None:
    trials = [
        a_trial(7, cost=1.0, score=a_score(0.2), baseline="DDS"),
        a_trial(8, cost=2.0, score=a_score(0.4), sigma=0.5),
        a_trial(9, cost=3.0, score=a_score(0.3)),
        a_trial(10, cost=0.5, score=a_score(0.9), status="stopped", sigma=1.0),
    ]

    figure = drawn(lambda: pareto(trials))

    assert words(figure.legends[0].get_texts()) == [
        "sigma 0.25",
        "sigma 0.5",
        "DDS",
        "Pareto front",
        "7: DDS, sigma 0.25, local 0.25, m 5, N 10,000",
        "8: sigma 0.5, local 0.25, m 5, N 10,000",
    ]
    assert words(figure.axes[0].texts) == ["7", "8"]


def test_each_score_stands_at_its_cost_with_its_interval(
    a_trial: MakeTrial, drawn: Draw
) -> None:
    trials = [a_trial(i, cost=2.0 + i, score=a_score(0.4 * i)) for i in range(3)]

    (axes,) = drawn(lambda: pareto(trials)).axes

    for trial, (point, _, (bar,)) in zip(trials, axes.containers, strict=True):
        value = 0.4 * trial.number
        ((start, end),) = bar.get_segments()
        assert point.get_xydata().tolist() == [[trial.cost, value]]
        assert start == pytest.approx([trial.cost, value - 0.02])
        assert end == pytest.approx([trial.cost, value + 0.01])


@pytest.mark.parametrize(
    ("costs", "scale"), [((1, 10), "linear"), ((1, 10.1), "log"), ((0, 5), "linear")]
)
def test_costs_of_more_than_a_factor_of_ten_have_a_logarithmic_axis(
    a_trial: MakeTrial, drawn: Draw, costs: tuple[float, float], scale: str
) -> None:
    trials = [a_trial(i, cost=float(cost)) for i, cost in enumerate(costs)]

    assert drawn(lambda: pareto(trials)).axes[0].get_xscale() == scale


@pytest.mark.parametrize("power", [0.3, 1.0, 3.0])
def test_numbers_of_a_crowded_front_do_not_touch(
    a_trial: MakeTrial, drawn: Draw, power: float
) -> None:
    long = "a variant with a name that takes a line by itself"
    trials = [
        a_trial(100 + i, cost=1e12 + i, score=a_score((i / 60) ** power), variant=long)
        for i in range(60)
    ]

    figure = drawn(lambda: pareto(trials))
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]

    assert "159" in words(figure.axes[0].texts)  # the best has its number
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    legend = figure.legends[0].get_window_extent()
    assert legend.y0 >= 0
    assert legend.x1 <= figure.bbox.x1
    assert figure.axes[0].get_window_extent().width > figure.bbox.width / 2
    named = [line for line in words(figure.legends[0].get_texts()) if ": " in line]
    assert len(named) == len(boxes)


def panels(figure: Figure) -> dict[str, list[str]]:
    """Return title and legend of each panel that can be seen."""
    legends = [axes.get_legend() for axes in figure.axes if axes.get_visible()]
    return {
        legend.get_title().get_text(): words(legend.get_texts())
        for legend in legends
        if legend
    }


def test_ablation_has_a_panel_per_sigma_and_the_best_local_noise_per_m(
    a_trial: MakeTrial, drawn: Draw
) -> None:
    tried = [
        (0.25, 5, 0.25, 0.4),
        (0.25, 5, 0.5, 0.6),
        (0.25, 1, 0.25, 0.3),
        (0.5, 5, 0.25, 0.5),
        (0.5, 5, 0.5, 0.1),
    ]
    trials = [
        a_trial(i, sigma=s, num_local=m, local_sigma=ls, score=a_score(value))
        for i, (s, m, ls, value) in enumerate(tried)
    ]
    best: dict[str, Any] = {"score": a_score(0.9), "sigma": 1.0}
    left_out = [
        a_trial(10, status="stopped", **best),
        a_trial(11, baseline="DDS", **best),
        a_trial(12, variant="other", **best),
    ]

    figure = drawn(lambda: draw_ablation([*trials, *left_out]))

    assert panels(figure) == {
        "sigma 0.25": ["m 1 (sigma' 0.25, N 10,000)", "m 5 (sigma' 0.5, N 10,000)"],
        "sigma 0.5": ["m 5 (sigma' 0.25, N 10,000)"],
    }
    assert list(panels(drawn(lambda: draw_ablation(left_out, "other")))) == ["sigma 1"]


def test_a_curve_is_the_share_certified_at_each_radius_in_percent(
    a_trial: MakeTrial, drawn: Draw
) -> None:
    generator = np.random.default_rng(0)
    radii, correct = generator.random(50) * 0.7, generator.random(50) < 0.8

    (axes,) = drawn(lambda: draw_ablation([a_trial(0, radii, correct)])).axes

    curve, triangle = axes.lines
    steps, percent = np.array(curve.get_data())
    assert percent == pytest.approx([2 * sum((radii >= r) & correct) for r in steps])
    assert curve.get_drawstyle() == "steps-pre"
    largest = 0.25 * 3.1986  # of 10,000 votes at a failure probability of 0.001
    assert np.array(triangle.get_data()) == pytest.approx(
        np.array([[largest], [0]]), abs=1e-4
    )
    assert axes.get_xlim()[1] > largest


@pytest.mark.parametrize(
    ("num_sigmas", "num_m", "shape"),
    [(1, 12, (1, 1)), (3, 2, (1, 3)), (4, 1, (2, 2)), (5, 2, (2, 3))],
)
def test_panels_share_axes_and_legends_hide_no_curve(
    a_trial: MakeTrial, drawn: Draw, num_sigmas: int, num_m: int, shape: tuple[int, int]
) -> None:
    trials = [
        a_trial(100 * s + m, sigma=0.25 * s, num_local=m)
        for s in range(1, num_sigmas + 1)
        for m in range(1, num_m + 1)
    ]

    figure = drawn(lambda: draw_ablation(trials))
    figure.draw_without_rendering()

    seen: list[Any] = [axes for axes in figure.axes if axes.get_visible()]
    assert len(seen) == num_sigmas
    assert seen[0].get_gridspec().get_geometry() == shape
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in seen}) == 1
    assert len({line.get_color() for line in seen[0].lines}) == num_m
    boxes = [part for axes in seen for part in (axes, axes.get_legend())]
    inner = [part.get_window_extent().padded(-3) for part in boxes]
    assert not any(one.overlaps(other) for one, other in combinations(inner, 2))


def test_without_a_finished_trial_there_is_no_figure(a_trial: MakeTrial) -> None:
    stopped, baseline = a_trial(0, status="stopped"), a_trial(1, baseline="DDS")

    with pytest.raises(ValueError, match="draw_pareto needs a finished trial; none"):
        draw_pareto([stopped], "FLOPs", "ACR")
    with pytest.raises(ValueError, match="variant '' has none of 2 trials"):
        draw_ablation([stopped, baseline])
