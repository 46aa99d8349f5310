"""Which runs of a study one pass over purified copies serves."""

from collections.abc import Callable, Iterator, Sequence

from pipelines.reading import Reading
from tune.candidate import Candidate
from tune.chooser import baselines, everything, known_choices
from tune.chosen import Choice, Chosen
from tune.space import num_points

MOST_POINTS = 2_000
"""Of a space that is traced as a whole, whatever of it will be tried."""

_CHEAP = ("local.num", "sampling.num_estimate")
"""Fields all values of which come from the votes under the largest."""


def traced_together(
    chosen: Chosen,
    candidate: Callable[[Choice], Candidate],
    copies_of: Callable[[Choice], str],
) -> dict[str, tuple[Reading, ...]]:
    """Return the runs that will be asked for, by their copies.

    A search that learns may ask for any point of its space, which is traced as a
    whole if it is finite: another pass would purify every copy again.

    Args:
        chosen: recipe and study.
        candidate: works out the run of a choice.
        copies_of: key of the purified copies that a choice votes on.
    """
    found: dict[str, list[Reading]] = {}
    for choice in _asked_for(chosen):
        reading = candidate(choice).reading
        if reading is not None:
            found.setdefault(copies_of(choice), []).append(reading)
    return {copies: tuple(readings) for copies, readings in found.items()}


def _asked_for(chosen: Chosen) -> Iterator[Choice]:
    yield from baselines(chosen)
    known = known_choices(chosen)
    if known is not None:
        yield from known
    elif traced_as_a_whole(chosen):
        yield from everything(chosen)


def traced_as_a_whole(chosen: Chosen) -> bool:
    """Return whether a pass serves all points of a study, tried or not.

    Args:
        chosen: recipe and study.
    """
    there = num_points(chosen.dimensions)
    return there is not None and there <= MOST_POINTS


def served_as_well(
    chosen: Chosen, choice: Choice, candidate: Callable[[Choice], Candidate]
) -> tuple[Reading, ...]:
    """Return runs of the same local noise that others may ask for.

    Args:
        chosen: recipe and study, whose space is not traced as a whole.
        choice: of a trial.
        candidate: works out the run of a choice.
    """
    readings = (candidate(one).reading for one in _beside(chosen, choice))
    return tuple(reading for reading in readings if reading is not None)


def _beside(chosen: Chosen, choice: Choice) -> Sequence[Choice]:
    found = [choice]
    for dimension in chosen.dimensions:
        if dimension.field in _CHEAP and dimension.size is not None:
            found = [
                Choice(one.variant, one.baseline, {**one.point, dimension.field: place})
                for one in found
                for place in range(dimension.size)
            ]
    return found[:MOST_POINTS]
