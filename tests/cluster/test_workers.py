import os
import time

import ray
from processes import started_by


def num_workers() -> int:
    """Return how many workers Ray has started for this process."""
    commands = started_by(os.getpid()).values()
    return sum("ray::" in one or "default_worker.py" in one for one in commands)


def test_tasks_that_queue_start_no_more_workers_than_there_are_cores(
    ray_cluster: None,
) -> None:
    @ray.remote
    def wait(seconds: float) -> None:
        time.sleep(seconds)

    ray.get(wait.remote(0.0))
    before = num_workers()

    ray.get([wait.remote(0.2) for _ in range(60)])

    assert num_workers() <= max(before, 4) + 4
