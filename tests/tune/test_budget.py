from typing import Any

import numpy as np
import pytest

from pipelines.recipe import Run
from pipelines.sample import Sample
from tune.budget import Budget, Like
from tune.cost import CLASSIFIER_CALLS, Cost, classifier_calls, flops

RUN = {
    "data": {"source": "digits", "split": "tune"},
    "sigma": 0.25,
    "purifier": {"kind": "nothing"},
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 0}},
    "local": {"sigma": 0.12, "num": 3},
}

PAPER = [
    (100_000, 20_000, 5),
    (100_000, 10_000, 10),
    (100_000, 5_000, 20),
    (10_000, 2_000, 5),
    (10_000, 1_000, 10),
    (10_000, 500, 20),
]
"""Budget, N and m of tables 6 and 7 of arXiv:2308.14333."""


def random_costs(num: int) -> list[tuple[Cost, np.random.Generator]]:
    """Draw costs of networks over nine decades, every fifth purifier for nothing."""
    rng = np.random.default_rng(0)
    drawn = 10 ** rng.uniform(-3, 6, (num, 2))
    drawn[::5, 0] = 0.0
    return [(Cost(*map(float, pair)), rng) for pair in drawn]


def samples(num: int) -> Sample:
    """Make grey images of 8 x 8 pixels."""
    images = np.random.default_rng(0).random((num, 1, 8, 8), dtype=np.float32)
    keys = tuple(f"digits_{index:04d}" for index in range(num))
    return Sample(keys=keys, labels=(0,) * num, images=tuple(images))


def test_an_image_costs_a_purification_and_m_classifications_per_copy() -> None:
    assert Cost(purify=7.0, classify=2.0).of_image(1000, 5) == 1000 * (7 + 5 * 2)


def test_copies_are_the_most_whole_blocks_that_the_budget_pays_for() -> None:
    for cost, rng in random_costs(300):
        num_local, block = int(rng.integers(1, 40)), int(rng.choice([1, 10, 100]))
        each = cost.purify + num_local * cost.classify
        amount = float(rng.uniform(1, 50)) * block * each

        found = Budget(per_image=amount).num_estimate(cost, num_local, block)

        rounding = 1e-8 * block * each
        assert found > 0
        assert found % block == 0
        assert found * each <= amount + rounding
        assert amount < (found + block) * each + rounding


def test_local_noises_are_the_most_that_the_budget_pays_for() -> None:
    for cost, rng in random_costs(300):
        num_estimate = 100 * int(rng.integers(1, 300))
        least = cost.of_image(num_estimate, 1)
        amount = least + float(rng.uniform(0, 40)) * num_estimate * cost.classify
        budget = Budget(per_image=amount, derive="num_local")

        found = budget.num_local(cost, num_estimate)

        rounding = 1e-8 * least
        assert found >= 1
        assert cost.of_image(num_estimate, found) <= amount + rounding
        assert amount < cost.of_image(num_estimate, found + 1) + rounding


@pytest.mark.parametrize(("amount", "num_estimate", "num_local"), PAPER)
def test_classifier_calls_give_the_rows_of_the_papers_tables(
    amount: int, num_estimate: int, num_local: int
) -> None:
    budget = Budget(per_image=amount, unit="classifier_calls")

    assert budget.num_estimate(CLASSIFIER_CALLS, num_local, 100) == num_estimate
    assert budget.num_local(CLASSIFIER_CALLS, num_estimate) == num_local
    assert CLASSIFIER_CALLS.of_image(num_estimate, num_local) == amount


def test_a_budget_of_whole_blocks_pays_for_all_of_them_in_spite_of_rounding() -> None:
    cost = Cost(purify=0.1, classify=0.2)  # the sum of which is above 0.3
    copies, noises = Budget(per_image=300.0), Budget(per_image=0.7)

    assert copies.num_estimate(cost, 1, 100) == 1000
    assert noises.num_local(cost, 1) == 3  # (0.7 - 0.1) / 0.2 is below 3


def test_as_much_as_a_setting_costs_is_its_cost_and_buys_it_again() -> None:
    for cost, rng in random_costs(50):
        num_estimate, num_local = (
            100 * int(rng.integers(1, 99)),
            int(rng.integers(1, 9)),
        )
        like = Like(num_estimate=num_estimate, num_local=num_local)

        budget = Budget(like=like)

        amount = num_estimate * (cost.purify + num_local * cost.classify)
        assert budget.amount(cost) == pytest.approx(amount)
        assert budget.num_estimate(cost, num_local, 100) == num_estimate
        assert budget.num_local(cost, num_estimate) == num_local
        for other in (1, 2, 7):
            same = Budget(per_image=budget.amount(cost))
            if same.amount(cost) >= 100 * (cost.purify + other * cost.classify):
                found = budget.num_estimate(cost, other, 100)
                assert found == same.num_estimate(cost, other, 100)


@pytest.mark.parametrize(
    ("derive", "field"),
    [("num_estimate", "sampling.num_estimate"), ("num_local", "local.num")],
)
def test_what_follows_is_a_field_of_a_run(derive: Any, field: str) -> None:
    assert Budget(per_image=1.0, derive=derive).derived_field == field


@pytest.mark.parametrize(
    "fields", [{}, {"per_image": 5.0, "like": {"num_estimate": 100, "num_local": 5}}]
)
def test_a_budget_is_either_an_amount_or_like_a_setting(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either per_image or like; it has per_image"):
        Budget.model_validate(fields)


def test_a_budget_below_one_block_is_refused_with_what_a_block_costs() -> None:
    budget = Budget(per_image=799.0)

    with pytest.raises(ValueError, match=r"100 copies with m = 5, 800 flops.* 799\."):
        budget.num_estimate(Cost(3.0, 1.0), 5, 100)


def test_a_budget_below_one_local_noise_is_refused_with_what_it_costs() -> None:
    budget = Budget(per_image=3_999.0, derive="num_local", unit="seconds")

    with pytest.raises(ValueError, match=r"N = 1,000 copies, 4000 seconds.* 3999\."):
        budget.num_local(Cost(3.0, 1.0), 1_000)


@pytest.mark.parametrize(("batch", "num_images"), [(1, 1), (50, 1), (7, 3)])
def test_flops_are_those_of_the_layers_whatever_the_batch(
    batch: int, num_images: int
) -> None:
    run = Run.model_validate({**RUN, "batch": batch})

    found = flops(run, samples(num_images))

    # Side of the output, outputs, inputs: 3 x 3 multiply-adds each, of 2 operations.
    convolutions = [(8, 32, 1), (4, 32, 32), (2, 48, 32)]
    counted = sum(
        2 * side**2 * outputs * inputs * 3 * 3 for side, outputs, inputs in convolutions
    )
    linear = 2 * (48 * 2 * 2) * 10
    assert found == Cost(purify=0.0, classify=counted + linear)


@pytest.mark.parametrize("consensus", [None, 2])
def test_an_ensemble_costs_all_its_members(consensus: int | None) -> None:
    members = [{**RUN["classifier"], "weights": {"untrained": 0}}] * 3
    classifier = {"kind": "ensemble", "members": members, "consensus": consensus}
    alone, run = (
        Run.model_validate({**RUN, "classifier": one})
        for one in (RUN["classifier"], classifier)
    )

    assert flops(run, samples(1)).classify == 3 * flops(alone, samples(1)).classify
    assert classifier_calls(alone) == CLASSIFIER_CALLS
    assert classifier_calls(run) == Cost(purify=0.0, classify=3.0)
