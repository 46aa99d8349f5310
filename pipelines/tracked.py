"""What a run and a study have in common in MLflow: how they begin and how they end."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from infra.provenance import provenance
from infra.tracking import Tracker
from infra.tracking_address import resolve_artifacts, resolve_uri
from infra.tracking_client import answering
from pipelines.prepare import Job

logger = logging.getLogger(__name__)


class Log(Protocol):
    """The runs of one job, started or continued."""

    @property
    def tracker(self) -> Tracker:
        """Writes them."""
        ...

    @property
    def parent(self) -> str:
        """Identifier of the run above all others."""
        ...


AnyLog = TypeVar("AnyLog", bound=Log)


@contextmanager
def tracked(job: Job, begin: Callable[[str, str | None], AnyLog]) -> Iterator[AnyLog]:
    """Start or continue the MLflow runs of a job, which fail if the body does.

    Args:
        job: whose recipe says where to log.
        begin: called with the address and where files are kept.

    Yields:
        The log.

    Raises:
        ConnectionError: MLflow does not answer.
    """
    folder = job.store.local_path
    parent_folder = None if folder is None else folder.parent
    uri = resolve_uri(job.recipe.runs[0].tracking.uri, parent_folder)
    with answering(uri):
        log = begin(uri, resolve_artifacts(uri, job.store.url))
        finished = False
        try:
            yield log
            finished = True
        finally:
            if not finished:
                _fail(log)


def _fail(log: Log) -> None:
    """End the parent run as failed; what went wrong matters more than this."""
    try:
        with answering("MLflow"):
            log.tracker.finish(log.parent, succeeded=False)
    except ConnectionError as error:
        logger.warning("The run stays open in MLflow. %s", error)


def describe(tracker: Tracker, parent: str, job: Job, *, digest: str) -> None:
    """Log which images, code and recipe a job has.

    Args:
        tracker: of its experiment.
        parent: its run.
        job: with its recipe in OUT.
        digest: of the images.
    """
    data = job.recipe.runs[0].data
    tracker.log_data_set(
        parent,
        data.source.name,
        digest=digest,
        description=data.model_dump(mode="json"),
    )
    source = provenance()["source"] or {}
    tracker.set_tags(parent, {f"git.{k}": str(v) for k, v in source.items()})
    tracker.log_bytes(parent, "recipe.yaml", job.store.read("recipe.yaml"))
