import pickle
import subprocess
import sys

import pytest
from ray.util.metrics import Counter

from infra.meters import COUNTERS, Meters

METERS = Meters("runs/a", "fused", 0.25)


def test_outside_a_cluster_counting_is_no_error_and_says_nothing() -> None:
    # In a process of its own, which never was in a cluster.
    code = (
        "from infra.meters import COUNTERS, Meters\n"
        "meters = Meters('runs/a', 'fused', 0.25)\n"
        "for name in COUNTERS:\n"
        "    meters.count(name, 3)\n"
        "meters.observe_seconds(0.5)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", COUNTERS)
def test_nothing_may_be_counted_although_ray_refuses_to(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with pytest.raises(ValueError, match=">0"):
        Counter("some").inc(0)
    added: list[float] = []
    monkeypatch.setattr(Counter, "inc", lambda _, value, tags: added.append(value))

    METERS.count(name, 0)
    METERS.count(name, 2)

    assert added == [2]


def test_a_counter_that_is_not_there_is_no_counter() -> None:
    with pytest.raises(KeyError, match="wishes"):
        METERS.count("wishes", 0)


def test_meters_travel_to_workers() -> None:
    METERS.count("votes", 1)  # what a process made is not sent along
    assert pickle.loads(pickle.dumps(METERS)) == METERS
