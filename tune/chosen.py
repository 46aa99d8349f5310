"""A recipe with a study, and how what is chosen of the study changes it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipelines.canonical import digest
from pipelines.recipe import Run, sigmas_of, validated
from pipelines.recipe_file import Raw, for_sigma
from tune.space import Choices, Dimension, Point, num_points
from tune.study import Fields, Study
from tune.trial import Setting

SHOWN = ("sigma", "local.sigma", "local.num", "sampling.num_estimate")
"""Fields that every setting names."""


@dataclass(frozen=True)
class Choice:
    """What was chosen of a study."""

    variant: str
    """Empty where a study has none."""

    baseline: str | None
    """Method beside the search, if it is one."""

    point: Point
    """Of a baseline, of sigma alone."""

    @property
    def key(self) -> str:
        """The same for the same choice, and for no other."""
        return digest({"choice": [self.variant, self.baseline, dict(self.point)]})


PLACEHOLDER = {"local.sigma": 0, "local.num": 1}
"""Of a run that stands for all local noises and numbers of them."""


@dataclass(frozen=True)
class Chosen:
    """A recipe without its study, and how choices change it."""

    raw: Raw
    name: str
    study: Study

    @cached_property
    def dimensions(self) -> list[Dimension]:
        """Those of the study, sigma first if the recipe itself lists several.

        Raises:
            ValueError: there is no sigma, or fewer points than are to be tried.
        """
        found = self.study.dimensions
        if not any(one.field == "sigma" for one in found):
            sigmas = sigmas_of(self.raw, self.name)
            found = [Choices("sigma", tuple(map(str, sigmas)), tuple(sigmas)), *found]
        for one in found:
            if one.field == "sigma" and not isinstance(one, Choices):
                raise ValueError(
                    f"study.space needs a list for sigma, as weights and noise belong "
                    f"to each; it has {self.study.space['sigma']!r}. List the sigmas."
                )
            if one.field == "sigma" and isinstance(one, Choices):
                sigmas_of({"sigma": list(one.values)}, self.name)
        self._require_points(found)
        return found

    def _require_points(self, dimensions: Sequence[Dimension]) -> None:
        there = num_points(dimensions)
        asked = getattr(self.study.search, "num_trials", 0)
        if there is not None and asked > max(1, len(self.study.variants)) * there:
            there *= max(1, len(self.study.variants))
            raise ValueError(
                f"study.search needs as many points as it tries; space and variants "
                f"have {there}, num_trials {asked}. Take search grid, or fewer."
            )

    def sigma(self, choice: Choice) -> float:
        """Return the std of the certified noise of a choice, in [0, 1] pixels."""
        (dimension,) = (one for one in self.dimensions if one.field == "sigma")
        return float(dimension.chosen(choice.point["sigma"], 0.0)[1])

    def fields(self, choice: Choice) -> tuple[dict[str, Any], dict[str, str]]:
        """Return what a choice sets, and how it is named, by field.

        Args:
            choice: of the study.
        """
        sigma = self.sigma(choice)
        values: dict[str, Any] = {**self._variant(choice)}
        names: dict[str, str] = {}
        if choice.baseline is not None:
            values |= self.study.baselines[choice.baseline]
        for dimension in self.dimensions:
            if dimension.field in choice.point:
                place = choice.point[dimension.field]
                names[dimension.field], values[dimension.field] = dimension.chosen(
                    place, sigma
                )
        return values, names

    def _variant(self, choice: Choice) -> Fields:
        return self.study.variants[choice.variant] if choice.variant else {}

    def run(self, choice: Choice, more: Mapping[str, Any] | None = None) -> Run:
        """Return the run of a choice, with weights as the recipe names them.

        Args:
            choice: of the study.
            more: further fields by dotted path.

        Raises:
            ValueError: it does not hold.
        """
        raw, sigma = copy.deepcopy(self.raw), self.sigma(choice)
        values, _ = self.fields(choice)
        for field, value in {**values, **(more or {})}.items():
            set_field(raw, field, copy.deepcopy(value))
        raw["sigma"] = sigma
        return validated(Run, for_sigma(raw, sigma), self.name)

    def setting(self, choice: Choice, run: Run) -> Setting:
        """Return what readers tell a choice apart by.

        Args:
            choice: of the study.
            run: of the choice.
        """
        _, names = self.fields(choice)
        others = {field: name for field, name in names.items() if field not in SHOWN}
        return Setting(
            variant=choice.variant,
            sigma=run.sigma,
            local_sigma=run.local.sigma,
            num_local=run.local.num,
            num_estimate=run.sampling.num_estimate,
            others=others,
        )


def set_field(raw: Raw, field: str, value: Any) -> None:
    """Put a value in place of what a recipe has at a dotted path.

    Args:
        raw: the recipe's mapping, changed.
        field: such as ``local.sigma``.
        value: as YAML would have it.

    Raises:
        ValueError: the path leads through a field that has no fields.
    """
    *parents, last = field.split(".")
    target = raw
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict) or "per_sigma" in target:
            raise ValueError(
                f"study needs a field that has fields; {field!r} leads through "
                f"{parent!r}, which has {target!r}. Set {parent!r} itself."
            )
    target[last] = value


def model_key(run: Run) -> str:
    """Return what runs share that have the same networks and noise.

    Args:
        run: with weights as the recipe names them.
    """
    dumped = run.model_dump(mode="json", exclude={"local": True})
    del dumped["sampling"]["num_estimate"]
    return digest(dumped)


def copies_key(run: Run) -> str:
    """Return what runs share that vote on the same purified copies.

    Args:
        run: with weights as the recipe names them.
    """
    dumped = run.model_dump(mode="json", exclude={"local": True, "classifier": True})
    del dumped["sampling"]["num_estimate"]
    return digest(dumped)
