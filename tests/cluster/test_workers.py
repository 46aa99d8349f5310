import time

import psutil
import ray


def num_workers() -> int:
    """Return how many workers Ray has started for this process."""
    children = psutil.Process().children(recursive=True)
    commands = [" ".join(process.cmdline()) for process in children]
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
