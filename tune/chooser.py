"""Which point is tried next; the same ones for the same study and findings."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection

from tune.chosen import Choice, Chosen
from tune.space import Choices, Dimension, Point, grid, num_points
from tune.study import GridSearch, OptunaSearch, RandomSearch

logger = logging.getLogger(__name__)

_ASKED = 10
"""Of these, points that Optuna is asked for: it is not told what was refused."""

_TIMES = 200
"""Points that are drawn in search of one that was not tried."""

_VARIANT = "variant"

_AGAINST_COST = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)

Found = tuple[Choice, float, float]
"""A choice that was tried, its objective and its cost."""


def baselines(chosen: Chosen) -> Iterator[Choice]:
    """Yield the methods beside the search: each at every sigma, in every variant.

    Args:
        chosen: recipe and study.
    """
    study = chosen.study
    (sigma,) = (one for one in chosen.dimensions if one.field == "sigma")
    for variant in study.variants or {"": {}}:
        for name in study.baselines:
            for point in grid([sigma]):
                yield Choice(variant, name, point)


def known_choices(chosen: Chosen) -> list[Choice] | None:
    """Return all choices of a search that does not learn, in order.

    Args:
        chosen: recipe and study.

    Returns:
        ``None`` where what is found decides what is tried.
    """
    search = chosen.study.search
    if isinstance(search, GridSearch):
        return list(everything(chosen))
    if isinstance(search, RandomSearch):
        return _drawn(chosen, search)
    return None


def fixed_choices(chosen: Chosen) -> list[Choice]:
    """Return the choices that are tried whatever is found, in order.

    Args:
        chosen: recipe and study.
    """
    return [*baselines(chosen), *(known_choices(chosen) or ())]


def everything(chosen: Chosen) -> Iterator[Choice]:
    """Yield all choices of a finite space.

    Args:
        chosen: recipe and study.

    Raises:
        ValueError: a field is continuous.
    """
    for variant in chosen.study.variants or {"": {}}:
        for point in grid(chosen.dimensions):
            yield Choice(variant, None, point)


def _drawn(chosen: Chosen, search: RandomSearch) -> list[Choice]:
    generator = np.random.default_rng(search.seed)
    if num_points(chosen.dimensions) is not None:
        points = list(everything(chosen))
        places = generator.permutation(len(points))[: search.num_trials]
        return [points[place] for place in places]
    return [_random(chosen, generator) for _ in range(search.num_trials)]


def _random(chosen: Chosen, generator: np.random.Generator) -> Choice:
    variants = list(chosen.study.variants or {"": {}})
    variant = variants[generator.integers(len(variants))]
    point = {one.field: _place(one, generator) for one in chosen.dimensions}
    return Choice(variant, None, point)


def _place(dimension: Dimension, generator: np.random.Generator) -> float:
    if dimension.size is not None:
        return int(generator.integers(dimension.size))
    assert not isinstance(dimension, Choices)  # which have a size
    if dimension.log:
        low, high = np.log([dimension.low, dimension.high])
        return float(np.exp(generator.uniform(low, high)))
    return float(generator.uniform(dimension.low, dimension.high))


class Learning:
    """Asks Optuna, which is told all that was found each time.

    Nothing is kept between two questions, so that a search that was broken off asks
    for what it would have asked for.
    """

    def __init__(
        self,
        chosen: Chosen,
        search: OptunaSearch,
        may_be_tried: Callable[[Choice], bool],
    ) -> None:
        """Describe the search.

        Args:
            chosen: recipe and study.
            search: of the study.
            may_be_tried: whether a choice is not refused.
        """
        self._chosen, self._search = chosen, search
        self._may_be_tried = may_be_tried
        self._distributions = distributions(chosen)

    def next(self, tried: set[str], found: Sequence[Found]) -> Choice | None:
        """Return a choice that was not tried.

        Args:
            tried: keys of the choices that are tried or were.
            found: what came of them, in the order in which they ended.
        """
        for attempt in range(_TIMES):
            choice = self._drawn(len(tried), attempt, found)
            if choice.key not in tried and self._may_be_tried(choice):
                return choice
        if num_points(self._chosen.dimensions) is None:
            logger.warning(
                "No point that can be tried was found in %d draws; the search ends.",
                _TIMES,
            )
            return None
        for choice in everything(self._chosen):
            if choice.key not in tried and self._may_be_tried(choice):
                return choice
        return None

    def _drawn(self, number: int, attempt: int, found: Sequence[Found]) -> Choice:
        """Ask Optuna, and after some points that were refused or tried, draw."""
        if attempt < _ASKED:
            return self._asked(number, attempt, found)
        seed = [self._search.seed, number, attempt]
        return _random(self._chosen, np.random.default_rng(seed))

    def _asked(self, number: int, attempt: int, found: Sequence[Found]) -> Choice:
        seed = _seed(self._search.seed, number, attempt)
        against_cost = self._search.against_cost
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=self._search.num_startup, multivariate=True
        )
        directions = _AGAINST_COST if against_cost else _AGAINST_COST[:1]
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells every question
        study = optuna.create_study(sampler=sampler, directions=directions)
        for choice, value, cost in found:
            if choice.baseline is None:
                study.add_trial(
                    optuna.trial.create_trial(
                        params=self._params(choice),
                        distributions=self._distributions,
                        values=[value, cost] if against_cost else [value],
                    )
                )
        return self._choice(study.ask(self._distributions).params)

    def _params(self, choice: Choice) -> dict[str, float | str]:
        params: dict[str, float | str] = dict(choice.point)
        if _VARIANT in self._distributions:
            params[_VARIANT] = choice.variant
        return params

    def _choice(self, params: Mapping[str, float | str]) -> Choice:
        point: Point = {k: v for k, v in params.items() if not isinstance(v, str)}
        return Choice(str(params.get(_VARIANT, "")), None, point)


def distributions(chosen: Chosen) -> dict[str, BaseDistribution]:
    """Return the dimensions of a study as Optuna knows them.

    Args:
        chosen: recipe and study.
    """
    found = {one.field: _distribution(one) for one in chosen.dimensions}
    if chosen.study.variants:
        found[_VARIANT] = CategoricalDistribution(tuple(chosen.study.variants))
    return found


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.size is None:
        assert not isinstance(dimension, Choices)  # which have a size
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, Choices) and not dimension.ordered:
        return CategoricalDistribution(tuple(range(dimension.size)))
    return IntDistribution(0, dimension.size - 1)


def _seed(seed: int, number: int, attempt: int) -> int:
    label = json.dumps([seed, number, attempt]).encode()
    return int.from_bytes(hashlib.blake2b(label, digest_size=4).digest())
