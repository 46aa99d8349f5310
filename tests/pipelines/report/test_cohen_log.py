from collections.abc import Callable

import pytest

from pipelines.cohen_log import clock, cohen_log, rounded_down
from pipelines.report import Curve

MakeCurve = Callable[..., Curve]


def test_log_has_the_columns_of_published_logs(a_curve: MakeCurve) -> None:
    lines = cohen_log(a_curve()).splitlines()

    assert lines == [
        "idx\tlabel\tpredict\tradius\tcorrect\ttime",
        "0\t1\t1\t0.625\t1\t1:02:03.500000",
        "1\t2\t2\t0.3\t1\t0:00:00.000000",
        "2\t3\t-1\t0.0\t0\t0:00:00.000000",
        "3\t4\t0\t0.7\t0\t0:00:00.000000",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (0.4999999, "0.499"),
        (1.999, "1.99"),
        (0.25, "0.25"),
        (0.978, "0.978"),
    ],
)
def test_radii_are_never_rounded_up(value: float, text: str) -> None:
    assert float(rounded_down(value)) == float(text)
    assert float(rounded_down(value)) <= value


def test_durations_of_more_than_a_day_keep_their_hours() -> None:
    assert clock(90_061.25) == "25:01:01.250000"
