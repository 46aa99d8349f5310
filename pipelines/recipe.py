"""The whole configuration of a run, validated before anything starts."""

import logging
import math
import re
from functools import lru_cache
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from ops.certify.fixed import Fixed
from ops.certify.rule import Rule
from ops.classify.classifier import Classifier
from ops.noise import NoiseKind
from ops.purify.purifier import Purifier
from ops.vote.local_noise import Local
from pipelines.about import About
from pipelines.cascade_recipe import with_stages
from pipelines.data import Data
from pipelines.part import Part
from pipelines.recipe_file import Raw, for_sigma, read_recipe, recipe_name
from pipelines.recipe_kinds import require_kind
from pipelines.refusal import explain
from pipelines.resources import RaySettings, Stages
from pipelines.sampling import Sampling

logger = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16", "float16"]

_SCIENTIFIC = re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]+")

Model = TypeVar("Model", bound=BaseModel)


class Tracking(Part):
    """Where runs are logged."""

    uri: str | None = None
    """MLflow tracking URI; ``None``: an SQLite file beside OUT."""


class Run(Part):
    """One recipe at one sigma."""

    data: Data
    """Images."""

    sigma: PositiveFloat
    """Std of the certified noise, in [0, 1] pixels."""

    noise: NoiseKind = "gaussian"
    """Certified noise in floating point, or in whole steps of 8-bit pixels."""

    purifier: Purifier
    """Noisy image to clean image."""

    classifier: Classifier
    """Image to class scores."""

    local: Local
    """Local smoothing of the classifier."""

    sampling: Sampling = Sampling()
    """Draws, blocks and promise."""

    rule: Rule = Fixed()
    """How votes become a certificate."""

    plan: Literal["fused", "staged"] = "fused"
    """All four ops in one actor, or each in its own."""

    precision: Precision = "float32"
    """Type the networks compute in."""

    compile: bool = False
    """Whether networks go through torch.compile."""

    batch: PositiveInt = 100
    """Copies per network call."""

    stages: Stages = Stages()
    """Actors and their resources."""

    ray: RaySettings = RaySettings()
    """Cluster."""

    seed: NonNegativeInt = 0
    """Seed of all certified noise."""

    strict: bool = False
    """Whether votes made under different batch shapes or devices may not be mixed."""

    expect_clean_accuracy: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of images without noise that the classifier alone gets right; what
    ``diffsmooth doctor`` holds it to."""

    tracking: Tracking = Tracking()
    """MLflow."""

    about: About = About()
    """What tables say of the row."""

    @field_validator("rule", mode="before")
    @classmethod
    def _fixed_unless_told(cls, value: object) -> object:
        return {"kind": "fixed", **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _rounds_fill_calls(self) -> Self:
        block = self.sampling.block
        staged = self.plan == "staged" and self.rule.kind == "sequential"
        if staged and self.batch > block:
            raise ValueError(
                f"rule sequential needs calls of one block under plan staged, where a "
                f"block that waits for others holds its image up; batch has "
                f"{self.batch}, sampling.block {block}. Set batch to {block}, or plan "
                f"to fused."
            )
        return self

    @model_validator(mode="after")
    def _purifies_its_noise(self) -> Self:
        self.purifier.calls_at(self.sigma)
        return self

    @model_validator(mode="after")
    def _warn_of_large_local_noise(self) -> Self:
        if self.local.sigma >= self.sigma:
            _warn_of_local_noise(self.sigma, self.local.sigma)
        return self


@lru_cache
def _warn_of_local_noise(sigma: float, local_sigma: float) -> None:
    """Warn once in a process, however often a run is built."""
    logger.warning(
        "local.sigma is usually below sigma; at sigma %s it has %s. The "
        "certificate stays valid, but the purified image drowns in noise.",
        sigma,
        local_sigma,
    )


class Recipe(Part):
    """A run at every one of its sigmas, under one name."""

    name: str
    """Name of the recipe, for tables and tracking."""

    runs: tuple[Run, ...]
    """One per sigma, in the recipe's order."""

    raw: Raw
    """As written, with settings applied."""


def load_recipe(name_or_path: str, settings: list[str]) -> Recipe:
    """Read a recipe, apply settings, and validate it at each of its sigmas.

    Args:
        name_or_path: packaged recipe or YAML file.
        settings: ``field=value`` each.

    Raises:
        ValueError: anything in it does not hold; the message names the field.
    """
    return build_recipe(read_recipe(name_or_path, settings), recipe_name(name_or_path))


def build_recipe(raw: Raw, name: str) -> Recipe:
    """Validate a recipe's mapping at each of its sigmas.

    Args:
        raw: as :func:`pipelines.recipe_file.read_recipe` returns it.
        name: what to call it.

    Raises:
        ValueError: anything in it does not hold; the message names the field.
    """
    require_kind(raw, name, "run")
    sigmas = sigmas_of(raw, name)
    raws = [{**for_sigma(raw, sigma), "sigma": sigma} for sigma in sigmas]
    runs = tuple(validated(Run, one, name) for one in with_stages(raws, name))
    return Recipe(name=name, runs=runs, raw=raw)


def validated(model: type[Model], raw: Raw, name: str) -> Model:
    """Validate a mapping, or refuse it in sentences.

    Args:
        model: what it should be.
        raw: the mapping.
        name: of the recipe, for the message.

    Raises:
        ValueError: it does not fit.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ValueError(explain(error, model, name)) from error


def sigmas_of(raw: Raw, name: str) -> list[float]:
    """Return the sigmas of a recipe.

    Args:
        raw: its mapping, of which ``sigma`` is a number or a list.
        name: of the recipe, for the message.

    Raises:
        ValueError: there is none, one is no number above 0, or two are equal.
    """
    listed = raw.get("sigma")
    several = (listed or [None]) if isinstance(listed, list) else [listed]
    sigmas = [_sigma(one, name) for one in several]
    if len({f"{sigma:g}" for sigma in sigmas}) != len(sigmas):
        raise ValueError(
            f"Recipe {name} needs each sigma once, told apart by six digits; sigma "
            f"has {listed}. List different values."
        )
    return sigmas


def _sigma(value: object, name: str) -> float:
    number = _number(value)
    if number is None or not 0 < number < math.inf:
        raise ValueError(
            f"Recipe {name} needs sigma above 0, in units of the [0, 1] pixel "
            f"range; it has {value!r}. Usual are 0.25, 0.5 and 1.0."
        )
    return number


def _number(value: object) -> float | None:
    if isinstance(value, str) and _SCIENTIFIC.fullmatch(value):
        return float(value)  # YAML reads 1e-1 as a text
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
