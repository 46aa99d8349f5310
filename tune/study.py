"""The part of a recipe that says what a study varies, and what for."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from pipelines.part import Part
from pipelines.recipe import validated
from pipelines.recipe_file import Raw
from tune.budget import Budget
from tune.objective import Objective
from tune.space import Dimension, dimension, require_varied

Fields = Mapping[str, Any]
"""Values by dotted path."""


class GridSearch(Part):
    """Every point."""

    kind: Literal["grid"] = "grid"


class RandomSearch(Part):
    """Points drawn without regard to what was found."""

    kind: Literal["random"]

    num_trials: PositiveInt
    """Points."""

    seed: NonNegativeInt = 0


class OptunaSearch(Part):
    """Points chosen by Optuna's tree-structured Parzen estimator.

    Source:
        Bergstra et al. 2011, "Algorithms for hyper-parameter optimization".
    """

    kind: Literal["optuna"]

    num_trials: PositiveInt
    """Points."""

    seed: NonNegativeInt = 0

    num_startup: PositiveInt = 10
    """Points that are drawn at random first."""

    against_cost: bool = False
    """Whether a low cost is looked for as well as a high objective."""


class Halving(Part):
    """Leave off settings that do badly on the first images (ASHA).

    Images are left out, never votes of an image.

    Source:
        Li et al. 2020, arXiv:1810.05934.
    """

    first: PositiveInt = 64
    """Images after which a trial may be left off for the first time."""

    factor: Annotated[int, Field(ge=2)] = 2
    """Of the trials that come so far, one in so many goes on to as many times more."""


class Study(Part):
    """A search over settings of a run."""

    space: Mapping[str, Any]
    """Field of a run to the values it may take, see :mod:`tune.space`."""

    variants: Mapping[str, Fields] = {}
    """Rows of a table: settings that go together, under a name, all of them tried."""

    baselines: Mapping[str, Fields] = {}
    """Methods beside the search, under a name: each once per sigma and variant, at the
    number of copies that the budget gives it."""

    search: Annotated[
        GridSearch | RandomSearch | OptunaSearch, Field(discriminator="kind")
    ] = GridSearch()
    """Which points are tried."""

    budget: Budget | None = None
    """What an image may cost; ``None``: N and m are chosen freely."""

    objective: Objective
    """What is looked for."""

    halving: Halving | None = None
    """``None``: every trial gets all images."""

    concurrent: PositiveInt = 1
    """Trials at once, each with its share of the cluster."""

    held_out: Raw
    """Data on which a winner is confirmed, as ``data`` of a run; images that the
    study tunes on are refused there."""

    @property
    def dimensions(self) -> list[Dimension]:
        """What is chosen, in the order of the recipe."""
        return [dimension(field, written) for field, written in self.space.items()]

    @property
    def wants_cost(self) -> bool:
        """Whether there are two objectives."""
        return isinstance(self.search, OptunaSearch) and self.search.against_cost

    @model_validator(mode="after")
    def _varies_what_may_be_varied(self) -> Self:
        for name in ("variants", "baselines"):
            for fields in self._fields_of(name):
                for one in fields:
                    require_varied(one, f"study.{name}")
                    if one == "sigma":
                        raise ValueError(
                            f"study.{name} needs fields other than sigma, which each "
                            f"is tried at; it has sigma {fields[one]!r}. Put it into "
                            f"study.space."
                        )
        return self

    @model_validator(mode="after")
    def _chooses_what_is_not_derived(self) -> Self:
        derived = self.budget.derived_field if self.budget else None
        clash = [
            name
            for name in ("space", "variants")
            for fields in self._fields_of(name)
            if any(f"{derived}.".startswith(f"{one}.") for one in fields)
        ]
        if clash:
            raise ValueError(
                f"study needs {derived} to follow from study.budget; {clash[0]} has it "
                f"too. Leave it out, or change study.budget.derive."
            )
        return self

    def _fields_of(self, name: str) -> list[Fields]:
        return [self.space] if name == "space" else list(getattr(self, name).values())

    @model_validator(mode="after")
    def _sets_no_field_twice(self) -> Self:
        for name in ("space", "variants", "baselines"):
            for fields in self._fields_of(name):
                for one in fields:
                    inside = [other for other in fields if other.startswith(f"{one}.")]
                    if inside:
                        raise ValueError(
                            f"study.{name} needs each field once; it has {one} and "
                            f"{inside[0]}, which lies in it. Leave one of them out."
                        )
        return self

    @model_validator(mode="after")
    def _names_its_variants(self) -> Self:
        if "" in self.variants:
            raise ValueError(
                "study.variants needs names that a table can show; one is empty. "
                "Name it."
            )
        return self


class _Whole(Part):
    """What a recipe adds to a run, so that errors name its fields in full."""

    study: Study


def _refuse_cascade(rule: object, name: str) -> None:
    if isinstance(rule, dict) and rule.get("kind") == "cascade":
        raise ValueError(
            f"diffsmooth tune needs a rule of single sigmas, which its trials are; "
            f"rule.kind of {name} is cascade. Set rule.kind to fixed, then certify the "
            f"chosen settings as a cascade."
        )


def load_study(raw: Raw, name: str) -> tuple[Study, Raw]:
    """Return the study of a recipe, and the recipe without it.

    Args:
        raw: as :func:`pipelines.recipe_file.read_recipe` returns it.
        name: of the recipe.

    Raises:
        ValueError: there is no study, or it does not hold.
    """
    if not isinstance(raw.get("study"), dict):
        raise ValueError(
            f"diffsmooth tune needs a recipe with study; {name} has none. Start from "
            f"budget_matched_digits, or run diffsmooth certify {name}."
        )
    rest = {field: value for field, value in raw.items() if field != "study"}
    _refuse_cascade(rest.get("rule"), name)
    whole = validated(_Whole, {"study": raw["study"]}, name)
    return whole.study, rest
