"""What Ray says of a failed execution, as the error it comes from."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from pipelines.unit_tracker import Attempt

_ERROR = re.compile(r"[\w.]*(Error|Exception)\b.*: ")


@contextmanager
def told_plainly(
    in_flight: Callable[[], tuple[Attempt, ...]], seconds: float
) -> Iterator[None]:
    """Turn what Ray raises in the body into an error that says what to do.

    Args:
        in_flight: returns the calls under way, the longest first.
        seconds: without progress after which Ray gives up.

    Raises:
        ValueError: a stage was given what it refuses.
        OSError: a stage could not read or write.
        TimeoutError: nothing moved; names what hangs.
        ConnectionError: the cluster failed.
    """
    try:
        yield
    except ExecutionTimeoutError as hung:
        calls = "; ".join(one.told() for one in in_flight()[:5])
        raise TimeoutError(
            f"certify needs something to move within {seconds:g} s "
            f"(ray.no_progress_seconds); nothing did. Under way: "
            f"{calls or 'no call, so the cluster has no room for one'}. Look at these "
            f"nodes, then run the same command again: what was written is kept."
        ) from hung
    except RayError as failed:
        raise _root(failed) from failed


def _root(failed: BaseException) -> Exception:
    """Return the refusal that a failure of Ray comes from, or the failure in words."""
    seen: BaseException | None = failed
    while seen is not None:
        cause = getattr(seen, "cause", None)
        for error in (cause, seen):
            if isinstance(error, ValueError | OSError) and not _is_rays(error):
                return error
        seen = seen.__cause__
    lines = [line.strip() for line in str(failed).splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.match(line)]
    last = (errors or lines or [type(failed).__name__])[-1].rstrip(".")
    return ConnectionError(
        f"certify needs a cluster that works off its units; Ray ends the run with: "
        f"{last}. Run the same command again: what was written is kept."
    )


def _is_rays(error: BaseException) -> bool:
    return isinstance(error, RayError)
