"""Which trials of a study MLflow has heard the end of."""

from infra.tracking import Tracker


def ended_trials(tracker: Tracker, parent_id: str) -> set[int]:
    """Return the numbers of the trials of a study that have ended.

    Args:
        tracker: of the study's experiment.
        parent_id: what ``start_parent`` returned.
    """
    children, token = f"tags.`mlflow.parentRunId` = '{parent_id}'", None
    ended: set[int] = set()
    while token != "":
        page = tracker.client.search_runs(
            [tracker.experiment_id], children, page_token=token
        )
        ended |= {
            int(run.data.tags["diffsmooth.trial"])
            for run in page
            if run.info.status != "RUNNING"
        }
        token = page.token or ""
    return ended
