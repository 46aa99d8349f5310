"""What a run will cost, as a table."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for its type alone; reports do without what it imports
    from pipelines.plan import Cost

_PREFIXES = ("", "K", "M", "G", "T", "P")


def cost_lines(costs: "Sequence[Cost]") -> list[list[str]]:
    """Return a line per quantity: what it is, then its value at each sigma.

    Args:
        costs: of one run, by sigma.
    """
    lines = [["sigma", *(f"{one.run.sigma:g}" for one in costs)]]
    for what, write in _LINES.items():
        lines.append([what, *(write(one) for one in costs)])
    radii = sorted({radius for one in costs for radius, _ in one.votes_by_radius})
    lines += [_radius_line(radius, costs) for radius in radii]
    names = list(costs[0].pilot.histogram())
    for name in names:
        told = [str(one.pilot.histogram()[name]) for one in costs]
        lines.append([f"z {name}", *told])
    return lines


def _radius_line(radius: float, costs: "Sequence[Cost]") -> list[str]:
    """Return what one image is expected to take if radii end here, and the step."""
    line = [f"votes, radii to {radius:g}"]
    for one in costs:
        votes = dict(one.votes_by_radius)
        if radius not in votes:
            line.append("")
            continue
        before = [votes[smaller] for smaller in votes if smaller < radius]
        more = f" ({votes[radius] - before[-1]:+,.0f})" if before else ""
        line.append(f"{votes[radius]:,.0f}{more}")
    return line


def _down(number: float) -> str:
    return f"{math.floor(1000 * number) / 1000:g}"


def _hours(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:,.1f} min"


def _bytes(number: float) -> str:
    power = min(len(_PREFIXES) - 1, int(math.log(max(1, number), 1024)))
    return f"{number / 1024**power:.1f} {_PREFIXES[power]}{'i' if power else ''}B"


def _calls(cost: "Cost", votes: float, each: int | None) -> str:
    """Return the calls of a network for all copies; blank where there is none."""
    return f"{votes * cost.num_images * each:,.0f}" if each else ""


def _purified(cost: "Cost", votes: float) -> str:
    return _calls(cost, votes, cost.facts.purifier_calls)


def _classified(cost: "Cost", votes: float) -> str:
    return _calls(cost, votes, cost.facts.classifier_calls)


_LINES = {
    "images": lambda one: f"{one.num_images:,}",
    "pilot": lambda one: f"{len(one.pilot.failures)} images",
    "votes of each": lambda one: f"{one.pilot.num_votes:,}",
    "device": lambda one: one.pilot.device,
    "votes/s of an actor": lambda one: f"{one.pilot.votes_per_second:,.1f}",
    "sequential rule": lambda one: one.preset,
    "largest radius, fixed": lambda one: _down(one.fixed_radius),
    "and sequential": lambda one: _down(one.votes_by_radius[-1][0]),
    "votes/image, fixed": lambda one: f"{one.fixed_votes:,.0f}",
    "and sequential, expected": lambda one: f"{one.sequential_votes:,.0f}",
    "saving": lambda one: f"{one.fixed_votes / one.sequential_votes:.1f}",
    "votes, fixed": lambda one: f"{one.fixed_votes * one.num_images:,.0f}",
    "votes, sequential": lambda one: f"{one.sequential_votes * one.num_images:,.0f}",
    "purifier calls/copy": lambda one: str(one.facts.purifier_calls),
    "classifier calls/copy": lambda one: str(one.facts.classifier_calls),
    "purifier, fixed": lambda one: _purified(one, one.fixed_votes),
    "purifier, sequential": lambda one: _purified(one, one.sequential_votes),
    "classifier, fixed": lambda one: _classified(one, one.fixed_votes),
    "classifier, sequential": lambda one: _classified(one, one.sequential_votes),
    "device time, fixed": lambda one: _hours(one.hours(one.fixed_votes)),
    "device time, sequential": lambda one: _hours(one.hours(one.sequential_votes)),
    "vote files, fixed": lambda one: _bytes(one.num_bytes(one.fixed_votes)),
    "vote files, sequential": lambda one: _bytes(one.num_bytes(one.sequential_votes)),
}
