"""The rule ``cascade``: what it asks of a recipe, and its table of votes by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
from scipy.stats import beta, norm
from votes_made import COUNTS, block, table

from infra.object_store import open_store
from pipelines.cascade import SILENT, cascade_table
from pipelines.certificates import certify_votes
from pipelines.certify_stage import Certified
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import reading_of
from pipelines.recipe import Recipe, build_recipe
from pipelines.recipe_file import parse_yaml
from pipelines.resolved import resolved_yaml

RecipeOf = Callable[..., Recipe]
Cascaded = Callable[..., dict[str, dict]]

CASCADE = ("sigma=[0.25, 0.5]", "local.sigma=0.12", "rule.kind=cascade")
DRAWS, SHARE = 200, 0.0005
HAND = (
    *CASCADE,
    f"sampling={{num_select: {DRAWS}, num_estimate: {DRAWS}, block: {DRAWS}}}",
)

SURE: COUNTS = ({3: 190, 1: 10}, 0)
SPREAD: COUNTS = ({0: 50, 1: 50, 2: 50, 3: 50}, 0)
CLOSE: COUNTS = ({3: 100, 1: 100}, 0)
SPREAD_BUT_LOST: COUNTS = ({0: 50, 1: 50, 3: 50}, 50)


def lower(votes: int) -> float:
    return float(beta.ppf(SHARE, votes, DRAWS - votes + 1))


def upper(votes: int) -> float:
    return float(beta.ppf(1 - SHARE, votes + 1, DRAWS - votes))


@pytest.fixture
def cascaded(recipe_of: RecipeOf, tmp_path: Path) -> Cascaded:
    """Return what makes a cascade's rows of images' votes at sigma 0.5 and 0.25."""
    runs = {run.sigma: run for run in recipe_of(*HAND).runs}
    store = open_store(tmp_path)

    def certified(sigma: float, images: dict[str, COUNTS | None]) -> Certified:
        votes = [
            block(key, stream, 0, counts, sigma=sigma)
            for key, counts in images.items()
            for stream in ("select", "estimate")
            if counts is not None
        ]
        reading, labels = reading_of(runs[sigma], 1), dict.fromkeys(images, 3)
        found = certify_votes(table(votes), labels, reading)
        return Certified(reading, LedgerIndex(store, sigma), found, 0)

    def make(**images: tuple[COUNTS | None, COUNTS | None]) -> dict[str, dict]:
        far = certified(0.5, {key: counts[0] for key, counts in images.items()})
        near = certified(0.25, {key: counts[1] for key, counts in images.items()})
        made = cascade_table([near, far])
        assert made.equals(cascade_table([far, near]))
        return {row["image_key"]: row for row in made.to_pylist()}

    return make


def test_the_largest_sigma_that_answers_decides(cascaded: Cascaded) -> None:
    row = cascaded(a=(SURE, SPREAD))["a"]

    assert (row["sigma"], row["guessed_class"], row["reason"]) == (0.5, 3, "certified")
    assert row["radius"] == pytest.approx(0.5 * norm.ppf(lower(190)))
    assert (row["num_draws"], row["failure_probability"]) == (DRAWS, 0.001)


def test_a_silent_sigma_hands_on_and_limits_the_radius(cascaded: Cascaded) -> None:
    row = cascaded(a=(SPREAD, SURE))["a"]

    assert (row["sigma"], row["guessed_class"], row["abstained"]) == (0.25, 3, False)
    reach = (0.5 * norm.ppf(1 - upper(50)), 0.25 * norm.ppf(lower(190)))
    assert row["radius"] == pytest.approx(min(reach))
    assert row["radius"] == pytest.approx(reach[0])
    assert row["num_draws"] == 2 * DRAWS
    assert row["smoothed_class"] == 3


def test_an_image_that_is_not_decided_says_why(cascaded: Cascaded) -> None:
    rows = cascaded(a=(CLOSE, SURE), b=(SPREAD, SPREAD), c=(SPREAD, CLOSE))

    assert [row["reason"] for row in rows.values()] == [
        "undecided at sigma 0.5",
        SILENT,
        "undecided at sigma 0.25",
    ]
    for row in rows.values():
        assert (row["sigma"], row["guessed_class"]) == (None, None)
        assert (row["abstained"], row["radius"]) == (True, 0.0)
    assert [row["smoothed_class"] for row in rows.values()] == [3, -1, -1]


def test_lost_and_classless_votes_may_be_of_any_class(cascaded: Cascaded) -> None:
    rows = cascaded(a=(SPREAD_BUT_LOST, SURE), b=(None, SURE), c=(SURE, None))

    (first, _) = rows["a"]["stages"]
    assert first["probability_upper"] == pytest.approx(upper(100))
    assert rows["a"]["reason"] == "undecided at sigma 0.5"
    assert rows["b"]["reason"] == "incomplete"
    assert rows["b"]["radius"] == 0.0
    assert rows["c"]["reason"] == "certified"


def test_rows_hold_the_bounds_of_every_stage(cascaded: Cascaded) -> None:
    far, near = cascaded(a=(SPREAD, SURE))["a"]["stages"]

    assert (far["sigma"], near["sigma"]) == (0.5, 0.25)
    assert far["probability_upper"] == pytest.approx(upper(50))
    assert near["probability_lower"] == pytest.approx(lower(190))


def test_sigmas_share_what_is_promised_of_an_image(recipe_of: RecipeOf) -> None:
    three = recipe_of(*CASCADE, "sigma=[0.25, 1, 0.5]")
    near = reading_of(three.runs[0], 9)
    family = reading_of(recipe_of(*HAND, "rule.family_wise=true").runs[0], 5)

    assert near.run.rule.model_dump()["stages"] == (1.0, 0.5, 0.25)
    assert near.failure_probability == pytest.approx(0.001 / 3)
    assert near.cascade_failure_probability == 0.001
    assert near.blocks == {"clean": 1, "select": 1, "estimate": 2}
    assert family.failure_probability == pytest.approx(0.001 / 5 / 2)
    assert family.numbers["family_wise_failure_probability"] == 0.001


def test_a_cascade_says_the_same_of_a_recipe_that_was_resolved(
    recipe_of: RecipeOf,
) -> None:
    recipe = recipe_of(*CASCADE, "sigma=[0.25, 1, 0.5]")
    raw = parse_yaml(resolved_yaml(recipe), "resolved")

    assert build_recipe(raw, "small").runs == recipe.runs
    fewer = build_recipe(raw | {"sigma": [0.25, 0.5]}, "small")
    assert fewer.runs == recipe_of(*CASCADE).runs


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            ("sigma=0.5",),
            "rule cascade needs two sigmas or more in one run; it has 0.5",
        ),
        (
            ("rule={per_sigma: {0.25: {kind: cascade}, 0.5: {kind: fixed}}}",),
            "needs one rule for all sigmas",
        ),
        (
            ("sampling.failure_probability={per_sigma: {0.25: 0.1, 0.5: 0.2}}",),
            "one sampling.failure_probability for all sigmas; it has 0.1 and 0.2",
        ),
        (("rule.stages=[0.5, 0.1]",), "needs rule.stages to be its sigmas"),
        (("rule.table=1",), "'rule.table' is none of them"),
    ],
)
def test_what_is_no_cascade_is_refused(
    recipe_of: RecipeOf, settings: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match="small") as refusal:
        recipe_of(*CASCADE, *settings)

    assert sentence in str(refusal.value)


def test_too_few_votes_for_a_share_are_refused(recipe_of: RecipeOf) -> None:
    run = recipe_of(*CASCADE, "sampling.num_estimate=10").runs[0]

    with pytest.raises(
        ValueError, match=r"rule cascade needs sampling.num_estimate >= "
    ):
        reading_of(run, 1)
