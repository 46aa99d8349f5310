"""Settings of a training that hold one by one and make no sense together."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.train_recipe import TrainRecipe

_HELD_OUT = {"test", "val", "validation"}
"""How the parts of data sets are called that are certified."""

_COUNTED = ("warmup_steps", "deferred_steps")
"""Fields of objectives that count steps."""


def refuse_held_out(recipe: "TrainRecipe") -> None:
    """Refuse images that are certified, by the name of their split, file or folder.

    Raises:
        ValueError: some part of the recipe's data is called so.
    """
    extra, probe = recipe.extra, recipe.probe
    parts = {"data": recipe.data, "extra.data": extra.data if extra else None}
    parts["probe.data"] = probe.data if probe else None
    for name, data in parts.items():
        if data is None:
            continue
        split = str(getattr(data.source, "split", "train"))
        place = PurePosixPath(str(getattr(data.source, "path", "train")))
        for field, value in (("split", split), ("path", place.stem)):
            if value in _HELD_OUT:
                raise ValueError(
                    f"A training needs images that are not certified afterwards; "
                    f"{name} has {field} {value!r}. Set {name}.{field} to train, or "
                    f"to others that are not."
                )


def refuse_other_classes(recipe: "TrainRecipe") -> None:
    """Refuse a teacher of other classes than the network's.

    Raises:
        ValueError: their numbers of classes differ.
    """
    teacher = recipe.extra.teacher if recipe.extra else None
    own = getattr(recipe.network, "num_classes", None)
    if teacher is not None and own is not None and teacher.num_classes != own:
        raise ValueError(
            f"extra.teacher needs the {own} classes of the network; it has "
            f"{teacher.num_classes}. Take another teacher, or set network.num_classes."
        )


def refuse_steps_that_never_come(recipe: "TrainRecipe") -> None:
    """Refuse what is to happen at steps after the last.

    Raises:
        ValueError: a schedule's step, or a count of an objective, is beyond them.
    """
    steps = recipe.optimiser.steps
    counts = {
        f"objective.{name}": getattr(recipe.objective, name, 0) for name in _COUNTED
    }
    growth = getattr(recipe.objective, "growth", None)
    counts["objective.growth.steps_to_last"] = getattr(growth, "steps_to_last", 0)
    counts["optimiser.schedule.at"] = max(getattr(recipe.optimiser.schedule, "at", [0]))
    for name, count in counts.items():
        if count >= steps:
            raise ValueError(
                f"A training needs {name} below its {steps} steps; it is {count}. "
                f"Lower it, or train longer."
            )
