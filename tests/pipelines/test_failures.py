import time

import pytest
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError, RayTaskError

from pipelines.failures import told_plainly
from pipelines.unit_tracker import Attempt


def hung(seconds: float) -> Attempt:
    since = time.time() - seconds
    return Attempt("fused", ("digits_0003",), "abcdef0123456", 17, since)


def raised_in_a_task(cause: Exception) -> RayError:
    return RayTaskError("stage", "traceback", cause).as_instanceof_cause()


@pytest.mark.parametrize(
    "cause", [ValueError("Pixels are needed."), OSError(28, "No space left on device")]
)
def test_what_a_stage_refuses_is_raised_as_it_was(cause: Exception) -> None:
    with pytest.raises(type(cause)) as told, told_plainly(lambda: (), 60):
        raise raised_in_a_task(cause)

    assert not isinstance(told.value, RayError)
    assert str(told.value) == str(cause)


def test_a_refusal_is_found_below_other_errors() -> None:
    outer = RayError("outer")
    outer.__cause__ = raised_in_a_task(ValueError("Pixels are needed."))

    with pytest.raises(ValueError, match="Pixels are"), told_plainly(lambda: (), 60):
        raise outer


def test_a_hang_names_what_is_under_way_and_where() -> None:
    with pytest.raises(TimeoutError) as told, told_plainly(lambda: (hung(121),), 60):
        raise ExecutionTimeoutError("no progress")

    assert "fused of digits_0003 on node abcdef01, process 17, for 2." in str(
        told.value
    )


def test_a_hang_without_a_call_says_that_there_is_no_room() -> None:
    with pytest.raises(TimeoutError, match="no room"), told_plainly(lambda: (), 60):
        raise ExecutionTimeoutError("no progress")


def test_whatever_else_ray_says_becomes_one_sentence() -> None:
    failed = raised_in_a_task(KeyError("x"))

    with pytest.raises(ConnectionError) as told, told_plainly(lambda: (), 60):
        raise failed

    assert "Run the same command again" in str(told.value)


def test_of_what_ray_says_the_line_that_names_the_error_is_told() -> None:
    failed = RayError("File x, line 3\nRuntimeError: no driver\nTo retry, set this.\n")

    with pytest.raises(ConnectionError) as told, told_plainly(lambda: (), 60):
        raise failed

    assert "with: RuntimeError: no driver. Run the same" in str(told.value)
