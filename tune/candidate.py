"""From a choice to a run: what the budget leaves worked out, or why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipelines.reading import Reading, reading_of
from pipelines.recipe import Run
from tune.budget import Budget
from tune.chosen import PLACEHOLDER, Choice, Chosen, model_key
from tune.cost import Cost
from tune.study import Study
from tune.trial import Setting


@dataclass(frozen=True)
class Candidate:
    """A run that a study may try."""

    choice: Choice
    setting: Setting
    reading: Reading | None
    """Of its run, with weights resolved; ``None`` where it was refused."""

    cost: float
    """Of one image, in the budget's unit; without a budget, in classifier calls."""

    refusal: str = ""
    """Why it cannot be tried."""


def derived(budget: Budget, cost: Cost, run: Run) -> dict[str, int]:
    """Return what the budget leaves for a run, by dotted path.

    Args:
        budget: of the study.
        cost: of the networks' calls.
        run: with all that is chosen.

    Raises:
        ValueError: the budget pays for nothing.
    """
    field = budget.derived_field
    if budget.derive == "num_estimate":
        return {field: budget.num_estimate(cost, run.local.num, run.sampling.block)}
    return {field: budget.num_local(cost, run.sampling.num_estimate)}


def candidate(
    chosen: Chosen,
    choice: Choice,
    models: Mapping[str, tuple[Run, Cost]],
    num_images: int,
) -> Candidate:
    """Work out the run of a choice, or say why there is none.

    Args:
        chosen: recipe and study.
        choice: of the study.
        models: runs with weights resolved and the cost of their networks, by
            :func:`model_key`.
        num_images: that the study tunes on.
    """
    point = {k: v for k, v in choice.point.items() if k != "sampling.num_estimate"}
    run = chosen.run(replace(choice, point=point), PLACEHOLDER)
    resolved, cost = models[model_key(run)]
    try:
        run = _whole(chosen, choice, cost)
        parts = {"local": run.local, "sampling": run.sampling}
        reading = reading_of(resolved.model_copy(update=parts), num_images)
    except ValueError as refusal:
        setting = _as_chosen(chosen, choice, run)
        return Candidate(choice, setting, None, 0.0, str(refusal))
    price = float(f"{cost.of_image(run.sampling.num_estimate, run.local.num):.12g}")
    found = Candidate(choice, chosen.setting(choice, run), reading, price)
    return _within_reach(found, chosen.study)


def _as_chosen(chosen: Chosen, choice: Choice, run: Run) -> Setting:
    """Return the setting of a choice whose run does not hold."""
    values, _ = chosen.fields(choice)
    num_estimate = values.get("sampling.num_estimate", run.sampling.num_estimate)
    return replace(
        chosen.setting(choice, run),
        local_sigma=values.get("local.sigma", run.local.sigma),
        num_local=values.get("local.num", run.local.num),
        num_estimate=num_estimate,
    )


def _whole(chosen: Chosen, choice: Choice, cost: Cost) -> Run:
    budget, (values, _) = chosen.study.budget, chosen.fields(choice)
    if budget is None or budget.derived_field in values:
        return chosen.run(choice)  # a baseline says it itself
    stand_in = {"local.num": 1} if budget.derive == "num_local" else {}
    return chosen.run(choice, derived(budget, cost, chosen.run(choice, stand_in)))


def _within_reach(found: Candidate, study: Study) -> Candidate:
    assert found.reading is not None  # it was not refused yet
    largest = found.reading.largest_radius
    if not study.objective.out_of_reach(largest):
        return found
    refusal = (
        f"The objective, {study.objective.name}, needs a radius that can be reached; "
        f"{found.setting.name} reaches {largest:.3f} at most, even if all copies agree."
    )
    return Candidate(found.choice, found.setting, None, found.cost, refusal)
