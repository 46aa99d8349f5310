"""The flow of normal data is known: ``mean + (z - mean) v / sqrt(v^2 + s^2)``."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from gaussian_here import (
    MEAN,
    STD,
    WORKER,
    gaussian_denoiser,
    knowing,
    noisy_copies,
    watched,
)
from pydantic import TypeAdapter

from ops.purify.edm import Edm
from ops.purify.levels import Levels
from ops.purify.pf_ode import PfOde, Solver, flow
from ops.purify.purifier import Purifier

FINE = Levels(num=400)
GRID = Levels().values().tolist()


def purifier(**fields: Any) -> PfOde:
    return knowing(PfOde, gaussian_denoiser(), clip=False, **fields)


def factor(of: PfOde, sigma: float) -> float:
    """Return by how much the flow shrinks what lies beside the mean."""
    noisy = noisy_copies()
    beside = of.open(WORKER, sigma)(noisy) - (MEAN + 1) / 2
    ratio = beside / (noisy - (MEAN + 1) / 2)
    assert ratio.std() < 1e-4
    return ratio.median().item()


def test_eighteen_levels_shrink_normal_data_by_the_known_factor() -> None:
    """Computed apart from this code for std 0.4, from level 1.0882 on."""
    exact = STD / math.sqrt(STD**2 + GRID[7] ** 2)
    assert exact == pytest.approx(0.3450, abs=5e-5)

    assert factor(purifier(), GRID[7] / 2) == pytest.approx(0.3615, abs=6e-5)
    assert factor(purifier(levels=FINE), GRID[7] / 2) == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_half_the_step_divides_the_error_by_the_order(
    solver: Solver, order: int
) -> None:
    noisy = noisy_copies().double()
    exact = MEAN + (noisy - MEAN) * math.sqrt((STD**2 + 0.25) / (STD**2 + 4))

    errors = []
    for num in (11, 21, 41, 81):
        path = Levels(num=num, lowest=0.5, highest=2.0, rho=3.0).values()[::-1]
        flowed = flow(gaussian_denoiser(), noisy, path.tolist(), solver)
        errors.append((flowed - exact).abs().max().item())

    rates = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert rates == pytest.approx([order] * 3, abs=0.15)


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
def test_the_flow_keeps_the_variance_that_one_call_loses(sigma: float) -> None:
    spread = math.sqrt(STD**2 + (2 * sigma) ** 2)  # of noisy normal data

    one_call = knowing(Edm, gaussian_denoiser(), clip=False)

    assert spread * factor(purifier(levels=FINE), sigma) == pytest.approx(STD, rel=2e-3)
    noisy = noisy_copies()
    mean = one_call.open(WORKER, sigma)(noisy) - (MEAN + 1) / 2
    lost = (mean / (noisy - (MEAN + 1) / 2)).median().item()
    assert spread * lost == pytest.approx(STD**2 / spread, rel=1e-4)


def test_an_exact_start_goes_on_at_the_next_lower_level() -> None:
    assert purifier().path(0.25) == [0.5, *GRID[5::-1], 0.0]
    assert purifier().path(GRID[6] / 2) == [GRID[6], *GRID[5::-1], 0.0]
    assert purifier().path(0.0005) == [0.001, 0.0]


def test_a_nearest_start_takes_the_copy_for_one_of_that_level() -> None:
    assert purifier(start="nearest").path(0.25) == [*GRID[6::-1], 0.0]  # 0.585 for 0.5
    assert purifier(start="nearest").path(0.0005) == [GRID[0], 0.0]


def test_both_starts_are_one_where_sigma_is_a_level() -> None:
    noisy, sigma = noisy_copies(), GRID[6] / 2
    exact, nearest = (
        purifier(start=start).open(WORKER, sigma)(noisy)
        for start in ("exact", "nearest")
    )
    assert torch.equal(exact, nearest)


def test_noise_below_all_levels_takes_the_one_call_of_edm() -> None:
    noisy, one_call = noisy_copies(), knowing(Edm, gaussian_denoiser(), clip=False)

    ours = purifier().open(WORKER, 0.0009)(noisy)
    theirs = one_call.open(WORKER, 0.0009)(noisy)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("solver", ["heun", "euler"])
@pytest.mark.parametrize("start", ["exact", "nearest"])
@pytest.mark.parametrize("sigma", [0.0005, 0.25, GRID[6] / 2, 1.0])
def test_as_many_calls_are_made_as_are_told(
    solver: str, start: str, sigma: float
) -> None:
    told: list[float] = []
    watching = watched(gaussian_denoiser(), told)
    asked = knowing(PfOde, watching, solver=solver, start=start)
    asked.open(WORKER, sigma)(noisy_copies())

    assert asked.calls_at(sigma) == len(told)
    each = {"heun": 2, "euler": 1}[solver]
    path = asked.path(sigma)
    inner = [x for x in path[1:-1] for _ in range(each)]
    assert told == [pytest.approx(x) for x in [path[0], *inner]]


def test_calls_are_those_of_the_published_baseline() -> None:
    """Eighteen levels and sigma 0.25: from the seventh level, six steps and a last."""
    assert purifier(start="nearest").calls_at(0.25) == 13


def test_purified_copies_are_pixels_unless_asked_otherwise() -> None:
    wide = gaussian_denoiser(std=5.0)
    free = knowing(PfOde, wide, clip=False).open(WORKER, 0.25)(noisy_copies())
    cut = knowing(PfOde, wide).open(WORKER, 0.25)(noisy_copies())

    assert free.min() < 0
    assert free.max() > 1
    torch.testing.assert_close(cut, free.clamp(0, 1), atol=1e-6, rtol=0)


def test_noise_above_levels_or_network_is_refused() -> None:
    low = Levels(highest=1.5)
    with pytest.raises(ValueError, match=r"levels needs highest of at least 2"):
        purifier(levels=low).calls_at(1.0)
    with pytest.raises(ValueError, match=r"levels needs highest of at least 2"):
        purifier(levels=low).open(WORKER, 1.0)
    half = gaussian_denoiser(highest=0.55)
    knowing(PfOde, half).open(WORKER, 0.25)
    with pytest.raises(ValueError, match="A purifier needs a sigma above 0 and up to"):
        knowing(PfOde, half, start="nearest").open(WORKER, 0.25)  # starts at 0.585


def test_a_recipe_names_it_by_its_kind() -> None:
    recipe = {"kind": "pf_ode", "weights": {"untrained": 0}, "levels": {"num": 40}}

    found = TypeAdapter(Purifier).validate_python(recipe)

    assert isinstance(found, PfOde)
    assert found.levels.num == 40
