"""What the command line and its workers tell while they work."""

import logging
import os
import sys

from infra.json_lines import JsonLines

FORMAT_VARIABLE = "DIFFSMOOTH_LOG"
"""Environment variable: ``json`` for JSON lines, ``text`` or unset for plain ones."""

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_PACKAGES = ("pipelines", "ops", "infra", "tune")


def set_up_logging(verbosity: int = 1) -> None:
    """Send log records to standard error: coloured on a terminal, plain elsewhere.

    As JSON lines instead if the environment has ``DIFFSMOOTH_LOG=json``.

    Args:
        verbosity: 0 for warnings, 1 for progress, 2 or more for everything of ours.
            Libraries tell only warnings.

    Raises:
        ValueError: ``DIFFSMOOTH_LOG`` asks for what there is not; records are plain.
    """
    form = os.environ.get(FORMAT_VARIABLE) or "text"
    handler = _json_handler({}) if form == "json" else _text_handler()
    _tell(handler, _LEVELS[max(0, min(verbosity, len(_LEVELS) - 1))])
    if form not in ("json", "text"):
        raise ValueError(
            f"The log needs to be json or text; {FORMAT_VARIABLE} has {form!r}. "
            f"Set it to one of these, or unset it."
        )


def set_up_worker_logging(run: str, node: str) -> None:
    """Send the records of a Ray worker to standard error, as JSON lines.

    Ray keeps them in a file of each worker (``docs/watching.md``). Our packages tell
    their progress, libraries warnings. Called again, it begins anew, with no line told
    twice.

    Args:
        run: what to call the run in every line.
        node: the same for the machine.
    """
    _tell(_json_handler({"run": run, "node": node}), logging.INFO)


def _tell(handler: logging.Handler, level: int) -> None:
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in _PACKAGES:
        logging.getLogger(package).setLevel(level)


def _json_handler(fields: dict[str, str]) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(fields))
    return handler


def _text_handler() -> logging.Handler:
    if sys.stderr.isatty():
        # Deferred: of use on a terminal only.
        from rich.console import Console
        from rich.logging import RichHandler

        handler = RichHandler(console=Console(stderr=True), show_path=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
        return handler
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler
