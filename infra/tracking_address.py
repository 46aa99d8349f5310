"""Where runs are recorded when nobody, the recipe or the environment says."""

import os
from pathlib import Path
from urllib.parse import urlsplit


def resolve_uri(recipe_uri: str | None, out_parent: Path | None) -> str:
    """Return where runs are recorded.

    ``MLFLOW_TRACKING_URI`` wins, then the recipe, then a SQLite file beside OUT.

    Args:
        recipe_uri: what the recipe says; ``None`` for nothing.
        out_parent: folder that holds OUT; ``None`` where that is no local folder, which
            stands for ``runs``.

    Raises:
        ValueError: the address is a folder, which MLflow no longer writes.
    """
    asked = os.environ.get("MLFLOW_TRACKING_URI") or recipe_uri
    if not asked:
        return f"sqlite:///{_folder(out_parent) / 'mlflow.db'}"
    if urlsplit(asked).scheme in ("", "file") and not asked.startswith("databricks"):
        raise ValueError(
            f"tracking.uri needs a data base or a server; it is {asked!r}, a folder. "
            f"Use sqlite:///PATH/mlflow.db or http://HOST:PORT."
        )
    return asked


def resolve_artifacts(uri: str, out: str) -> str | None:
    """Return where a new experiment keeps its files.

    Args:
        uri: what ``resolve_uri`` returned.
        out: where the run writes, a local path or ``s3://``.

    Returns:
        The folder ``mlartifacts`` beside OUT for SQLite, in OUT's bucket if it is in
        one; ``None`` where a server decides.
    """
    if not uri.startswith("sqlite:"):
        return None
    if not out.startswith("s3://"):
        return (Path(out).absolute().parent / "mlartifacts").as_uri()
    above, slash, _ = out.removeprefix("s3://").rstrip("/").rpartition("/")
    return f"s3://{above}/mlartifacts" if slash else f"{out.rstrip('/')}/mlartifacts"


def _folder(out_parent: Path | None) -> Path:
    return (out_parent or Path("runs")).absolute()
