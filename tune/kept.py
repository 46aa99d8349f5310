"""What a study keeps of itself in OUT: its identity, and what its calls cost."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from infra.object_store import Store
from infra.sources.entry import Entry
from infra.subsets import subset_digest
from pipelines.canonical import digest
from pipelines.json_file import json_object
from pipelines.recipe import Run
from pipelines.sample import Sample, decoded_sample
from pipelines.study_status import STUDIES
from tune.chosen import Chosen
from tune.cost import Cost, classifier_calls, flops, seconds

NAME = "study.json"

_ANY = ("stages", "ray", "tracking", "about", "plan", "batch", "compile", "strict")
"""Fields of a recipe that may change while a study goes on."""

logger = logging.getLogger(__name__)


def identity_of(chosen: Chosen, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what trials of one study have in common.

    Args:
        chosen: recipe and study.
        entries: images that the study tunes on.
    """
    study = chosen.study.model_dump(
        mode="json", exclude={"concurrent": True, "held_out": True}
    )
    study["search"].pop("num_trials", None)
    recipe = {name: one for name, one in chosen.raw.items() if name not in _ANY}
    whole = {"recipe": recipe, "study": study, "images": subset_digest(entries)}
    return json.loads(json.dumps(whole))


def study_folder(out: str, identity: Mapping[str, Any]) -> str:
    """Return where the trials of a study lie; several share the votes of one OUT.

    Args:
        out: OUT.
        identity: of the study.
    """
    return f"{out.rstrip('/')}/{STUDIES}/{digest(identity)[:8]}"


def _stored(store: Store) -> dict[str, Any]:
    remedy = "Put a copy back; or take another --out: the votes here stay readable."
    return json_object(store, NAME, remedy)


def keep(store: Store, identity: Mapping[str, Any], costs: Mapping[str, Cost]) -> None:
    """Write what a study that goes on has to agree with.

    Args:
        store: of the study.
        identity: of the study.
        costs: of the networks' calls, by model.
    """
    said = {
        "identity": identity,
        "costs": {key: [one.purify, one.classify] for key, one in costs.items()},
    }
    store.write(NAME, json.dumps(said, indent=1).encode())


def costs_of(
    chosen: Chosen, store: Store, models: Mapping[str, Run], entries: Sequence[Entry]
) -> dict[str, Cost]:
    """Return what the networks of each model cost; measured once for a whole study.

    Args:
        chosen: recipe and study.
        store: of the study, which holds what was measured before.
        models: runs with weights resolved, by model.
        entries: images that the study tunes on.
    """
    kept = _stored(store)["costs"] if store.exists(NAME) else {}
    found = {key: Cost(*kept[key]) for key in models if key in kept}
    unit = chosen.study.budget.unit if chosen.study.budget else "classifier_calls"
    if unit == "classifier_calls":
        return {key: classifier_calls(run) for key, run in models.items()}
    first = next(iter(models.values()))
    sample, _ = decoded_sample(first.data, entries[:1], asked_by="tune")
    measured: dict[Cost, Cost] = {}
    for key, run in models.items():
        if key not in found:
            counted = flops(run, sample)
            found[key] = counted
            if unit == "seconds":  # of networks of one size, the same
                again = measured.get(counted) or _timed(run, sample)
                found[key] = measured[counted] = again
    return found


def _timed(run: Run, sample: Sample) -> Cost:
    cost = seconds(run, sample)
    logger.info(
        "A copy takes %.3g s to purify and %.3g s to classify once.",
        cost.purify,
        cost.classify,
    )
    return cost
