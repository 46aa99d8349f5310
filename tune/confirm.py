"""The winner of a study on held-out images, once."""

import json
import logging
from typing import Any

from infra.tracking_address import resolve_uri
from pipelines.certify import certify_recipe
from pipelines.curve import Curve
from pipelines.json_file import json_object
from pipelines.prepare import Job
from pipelines.recipe import build_recipe
from tune.candidate import Candidate
from tune.prepare import StudyJob
from tune.trial import Trial

NAME = "confirmed.json"

FOLDER = "confirm"
"""Inside OUT: the OUT of the winner's run."""

logger = logging.getLogger(__name__)


def confirm(
    study_job: StudyJob, winner: Trial, found: Candidate
) -> tuple[int, list[Curve], Job]:
    """Certify the winner on the held-out images; run again, it continues.

    Args:
        study_job: the study.
        winner: its best trial.
        found: the winner's run.

    Returns:
        Exit status, curves and job of the run.

    Raises:
        ValueError: the held-out images have confirmed another winner.
    """
    assert found.reading is not None  # who won was tried
    job = study_job.job
    held_out = study_job.held_out.model_dump(mode="json")
    said = {
        "trial": winner.number,
        "setting": winner.setting.name,
        "choice": found.choice.key,
        "held_out": held_out,
    }
    _once(study_job, said)
    raw: dict[str, Any] = found.reading.run.model_dump(mode="json")
    folder = job.store.local_path
    uri = resolve_uri(raw["tracking"]["uri"], None if folder is None else folder.parent)
    raw |= {"data": held_out, "tracking": {"uri": uri}}
    recipe = build_recipe(raw, f"{job.recipe.name}_confirmed")
    logger.info("Confirming trial %d: %s.", winner.number, winner.setting.name)
    return certify_recipe(recipe, f"{job.out.rstrip('/')}/{FOLDER}")


def _once(study_job: StudyJob, said: dict[str, Any]) -> None:
    store = study_job.job.store
    if not store.exists(NAME):
        store.write(NAME, json.dumps(said, indent=1).encode())
        return
    before = json_object(store, NAME, "Put a copy back, or take another --out.")
    if before != said:
        raise ValueError(
            f"Held-out images confirm one winner; those of {store.url} confirmed trial "
            f"{before.get('trial')} ({before.get('setting')}), now trial "
            f"{said['trial']} ({said['setting']}) is to be. Report the first, or take "
            f"other images with study.held_out and another --out."
        )
