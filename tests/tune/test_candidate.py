from collections.abc import Mapping
from typing import Any

import pytest
from scipy.stats import norm

from pipelines.recipe import Run
from tune.candidate import Candidate, candidate
from tune.chooser import baselines, everything
from tune.chosen import PLACEHOLDER, Choice, Chosen, copies_key, model_key, set_field
from tune.cost import Cost
from tune.study import load_study

RECIPE = {
    "data": {"source": "digits", "split": "tune"},
    "sigma": [0.25, 0.5],
    "purifier": {"kind": "nothing"},
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 0}},
    "local": {"sigma": 0.1, "num": 1, "distribution": "gaussian"},
    "sampling": {"num_estimate": 1000, "block": 100},
}
OBJECTIVE = {"kind": "certified_accuracy", "radius": 0.25}
COST = Cost(3.0, 1.0)
BUDGET = {"per_image": 8_000, "unit": "flops"}


def chosen_of(space: Mapping[str, Any], recipe: Any = None, **study: Any) -> Chosen:
    """Return a small study with some fields set."""
    fields = {"objective": OBJECTIVE, "held_out": {"split": "test"}, "space": space}
    whole = {**RECIPE, **(recipe or {}), "study": {**fields, **study}}
    read, rest = load_study(whole, "small")
    return Chosen(rest, "small", read)


def tried(chosen: Chosen, choice: Choice) -> Candidate:
    """Work out a choice, with weights resolved by hand."""
    run = chosen.run(choice, PLACEHOLDER)
    return candidate(chosen, choice, {model_key(run): (run, COST)}, num_images=3)


def every(chosen: Chosen) -> list[Candidate]:
    return [tried(chosen, one) for one in everything(chosen)]


def run_of(found: Candidate) -> Run:
    assert found.reading is not None, found.refusal
    return found.reading.run


def test_what_is_chosen_stands_at_its_place_in_the_run_and_the_rest_as_written() -> (
    None
):
    space = {"sigma": [0.5], "local.sigma": [0.2], "local.num": [7]}
    chosen = chosen_of(space, {"sigma": 0.25, "seed": 5})

    (found,) = every(chosen)

    run = run_of(found)
    assert (run.sigma, run.local.sigma, run.local.num) == (0.5, 0.2, 7)
    assert (run.seed, run.local.distribution) == (5, "gaussian")
    assert found.setting.name == "sigma 0.5, local 0.2, m 7, N 1,000"
    assert chosen.raw["local"] == RECIPE["local"]


def test_fields_per_sigma_are_those_of_the_choices_sigma() -> None:
    space = {"local.sigma": {"per_sigma": {0.25: [0.06], 0.5: [0.12]}}}
    weights = {"untrained": {"per_sigma": {0.25: 1, 0.5: 2}}}
    classifier = {"kind": "digits_cnn", "weights": weights}

    runs = [run_of(one) for one in every(chosen_of(space, {"classifier": classifier}))]

    assert [run.sigma for run in runs] == [0.25, 0.5]
    assert [run.local.sigma for run in runs] == [0.06, 0.12]
    assert [run.classifier.weights.untrained for run in runs] == [1, 2]


def test_variants_set_their_fields_and_give_way_to_what_is_searched() -> None:
    variants = {
        "standard": {"classifier.weights": {"untrained": 3}, "local.num": 9},
        "smoothed": {"classifier.weights": {"untrained": 4}},
    }
    space = {"sigma": [0.25], "local.sigma": [0.2], "local.num": [5]}

    found = every(chosen_of(space, variants=variants))

    weights = [run_of(one).classifier.weights.untrained for one in found]
    assert weights == [3, 4]
    assert [run_of(one).local.num for one in found] == [5, 5]
    assert [one.setting.variant for one in found] == ["standard", "smoothed"]
    assert found[0].setting.name.startswith("standard, sigma 0.25, ")


def test_baselines_set_their_fields_at_every_sigma_and_search_nothing() -> None:
    chosen = chosen_of(
        {"local.sigma": [0.2], "local.num": [5]},
        baselines={"DDS": {"local.sigma": 0, "local.num": 1}},
        variants={"odd": {"classifier.weights": {"untrained": 3}, "local.num": 4}},
        budget=BUDGET,
    )

    found = [tried(chosen, one) for one in baselines(chosen)]

    runs = [run_of(one) for one in found]
    assert [run.sigma for run in runs] == [0.25, 0.5]
    assert {(run.local.sigma, run.local.num) for run in runs} == {(0.0, 1)}
    assert {run.classifier.weights.untrained for run in runs} == {3}
    assert {run.sampling.num_estimate for run in runs} == {2_000}
    assert found[0].setting.name == "odd, sigma 0.25, local 0, m 1, N 2,000"


def test_copies_follow_from_the_budget_and_the_local_noises() -> None:
    space = {"sigma": [0.25], "local.num": [1, 2, 5, 10]}

    found = every(chosen_of(space, budget=BUDGET))

    # 8,000 / (3 + m) in whole blocks of 100.
    copies = [run_of(one).sampling.num_estimate for one in found]
    assert copies == [2_000, 1_600, 1_000, 600]
    assert [one.cost for one in found] == [8_000, 8_000, 8_000, 7_800]


def test_local_noises_follow_from_the_budget_and_the_copies() -> None:
    chosen = chosen_of(
        {"sigma": [0.25], "sampling.num_estimate": [500, 1_000, 2_000]},
        baselines={"DDS": {"local.sigma": 0, "local.num": 1}},
        budget={**BUDGET, "derive": "num_local"},
    )

    found = every(chosen)

    # 8,000 / N - 3; a baseline says its own.
    assert [run_of(one).local.num for one in found] == [13, 5, 1]
    (baseline,) = baselines(chosen)
    assert run_of(tried(chosen, baseline)).local.num == 1


def test_without_a_budget_copies_and_local_noises_are_as_chosen() -> None:
    space = {"local.num": [5], "sampling.num_estimate": [300]}

    found = every(chosen_of(space))[0]

    assert found.setting.name == "sigma 0.25, local 0.1, m 5, N 300"
    assert found.cost == 300 * (3 + 5)


@pytest.mark.parametrize(("radius", "refused"), [(1.5, False), (1.501, True)])
def test_points_that_cannot_reach_the_radius_are_refused(
    radius: float, refused: bool
) -> None:
    largest = norm.ppf(0.001 ** (1 / 100))  # of sigma 1, where 100 votes agree: 1.5005
    objective = {"kind": "certified_accuracy", "radius": radius}
    space = {"sigma": [1.0], "sampling.num_estimate": [100]}

    (found,) = every(chosen_of(space, objective=objective))

    assert (found.reading is None) == refused
    assert (f"reaches {largest:.3f} at most" in found.refusal) == refused


def test_a_point_with_more_copies_may_reach_what_one_with_fewer_cannot() -> None:
    objective = {"kind": "certified_accuracy", "radius": 1.6}
    space = {"sigma": [1.0], "sampling.num_estimate": [100, 1_000]}

    found = every(chosen_of(space, objective=objective))

    assert [one.reading is None for one in found] == [True, False]


def test_several_noises_without_any_spread_are_refused_and_one_is_not() -> None:
    space = {"sigma": [0.25], "local.sigma": [0], "local.num": [1, 5]}

    one, five = every(chosen_of(space))

    assert run_of(one).local.num == 1
    assert five.reading is None
    assert "num 1 where sigma is 0" in five.refusal
    assert (five.setting.num_local, five.setting.local_sigma) == (5, 0.0)


def test_a_budget_that_pays_for_nothing_is_a_reason_to_refuse() -> None:
    space = {"sigma": [0.25], "local.num": [1, 50]}
    budget = {"per_image": 5_000, "unit": "flops"}

    one, fifty = every(chosen_of(space, budget=budget))

    assert run_of(one).sampling.num_estimate == 1_200
    assert fifty.reading is None
    assert "m = 50, 5300 flops; it has 5000" in fifty.refusal
    assert fifty.setting.num_local == 50


@pytest.mark.parametrize(
    ("field", "part"), [("local.spread", "local.spread"), ("classifier.size", "size")]
)
def test_a_field_that_there_is_none_of_stops_the_study_at_once(
    field: str, part: str
) -> None:
    with pytest.raises(ValueError, match=r"Recipe small needs fields") as refusal:
        every(chosen_of({field: [1, 2]}))

    assert part in str(refusal.value)


def test_a_path_through_what_has_no_fields_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'local\.sigma\.low' leads through 'sigma'"):
        set_field({"local": {"sigma": 0.1}}, "local.sigma.low", 1)
    with pytest.raises(ValueError, match="Set 'local' itself"):
        set_field({"local": {"per_sigma": {0.25: {}}}}, "local.sigma", 1)


def test_a_setting_is_named_with_all_that_is_searched_beside_what_all_have() -> None:
    space = {
        "local.distribution": ["gaussian", "uniform"],
        "classifier.weights": {"standard": {"untrained": 3}},
    }

    found = every(chosen_of(space))[1]

    assert found.setting.name == (
        "sigma 0.25, local 0.1, m 1, N 1,000, "
        "local.distribution uniform, classifier.weights standard"
    )


CHANGES = [
    ({"local": {"sigma": 0.2, "num": 5}}, True, True),
    ({"sampling": {"num_estimate": 2000, "block": 100}}, True, True),
    ({"classifier": {"kind": "digits_cnn", "weights": {"untrained": 1}}}, False, True),
    ({"sigma": 0.5}, False, False),
    (
        {"purifier": {"kind": "one_shot_ddpm", "weights": {"untrained": 0}}},
        False,
        False,
    ),
    ({"seed": 1}, False, False),
    ({"noise": "lattice"}, False, False),
]
"""What changes of a run, and whether it keeps its model and its copies."""


@pytest.mark.parametrize(("changed", "same_model", "same_copies"), CHANGES)
def test_runs_share_models_and_copies_as_far_as_these_do_not_hang_on_what_differs(
    changed: dict[str, Any], same_model: bool, same_copies: bool
) -> None:
    run = Run.model_validate({**RECIPE, "sigma": 0.25})
    other = Run.model_validate({**RECIPE, "sigma": 0.25, **changed})

    assert (model_key(run) == model_key(other)) == same_model
    assert (copies_key(run) == copies_key(other)) == same_copies
