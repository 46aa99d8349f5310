"""A refusal as one message and an exit status, for every verb."""

import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from infra.logs import set_up_logging

logger = logging.getLogger(__name__)

FAILED = 1
"""Exit status of a run that was refused or failed."""


@contextmanager
def refusals_told(verbose: int) -> Iterator[None]:
    """Turn a refusal into one message and exit status 1.

    Args:
        verbose: how often ``-v`` was given.
    """
    try:
        set_up_logging(1 + verbose)
        yield
    except KeyboardInterrupt as stopped:
        command = shlex.join(["diffsmooth", *sys.argv[1:]])
        logger.error("Stopped. What was written is kept; to continue: %s", command)
        raise typer.Exit(FAILED) from stopped
    except (ValueError, OSError) as refusal:
        logger.error("%s", refusal)
        logger.debug("Raised here:", exc_info=True)
        raise typer.Exit(FAILED) from refusal
