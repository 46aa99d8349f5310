"""The way to MLflow: a quiet client, and what is told when nothing answers."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Tell a failure of MLflow inside the body as a ConnectionError to the URI."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise ConnectionError(
            f"tracking needs a server or data base that answers; {uri} has: {error}. "
            f"Check tracking.uri and MLFLOW_TRACKING_URI; what was written is kept."
        ) from error


def connect(uri: str) -> "MlflowClient":
    """Return a client of MLflow that reports home to nobody.

    Args:
        uri: what ``resolve_uri`` returned.
    """
    # Read when mlflow is imported, which is why the import stands below.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    from mlflow import MlflowClient

    # One line per table it makes is of no use to the one who certifies.
    logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # MLflow's own models use what SQLAlchemy 2.1 deprecates.
        warnings.filterwarnings("ignore", message="The ``noload`` loader strategy")
        client = MlflowClient(tracking_uri=uri)
        with answering(uri):
            # Not before the first question does it open a data base.
            client.search_experiments(max_results=1)
    return client


def require_reachable(uri: str) -> None:
    """Refuse a tracking address that does not answer; nothing is made there.

    Args:
        uri: what ``resolve_uri`` returned.

    Raises:
        ConnectionError: nothing answers at the address.
        ValueError: a data base cannot be made there.
    """
    database = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or database.exists():
        connect(uri)
        return
    folder = next(folder for folder in database.parents if folder.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise ValueError(
            f"tracking needs a folder it can write; {uri} has {folder}, which it "
            f"cannot. Set tracking.uri, or mend the folder's permissions."
        )
