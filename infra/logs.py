"""What the command line tells while it works."""

import logging
import sys

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def set_up_logging(verbosity: int = 1) -> None:
    """Send log records to standard error: coloured on a terminal, plain elsewhere.

    Args:
        verbosity: 0 for warnings, 1 for progress, 2 or more for everything of ours.
            Libraries tell only warnings.
    """
    logging.basicConfig(
        level=logging.WARNING, handlers=[_handler()], format="%(message)s", force=True
    )
    level = _LEVELS[max(0, min(verbosity, len(_LEVELS) - 1))]
    for package in ("pipelines", "ops", "infra", "tune"):
        logging.getLogger(package).setLevel(level)


def _handler() -> logging.Handler:
    if sys.stderr.isatty():
        # Deferred: of use on a terminal only.
        from rich.console import Console
        from rich.logging import RichHandler

        return RichHandler(console=Console(stderr=True), show_path=False)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler
