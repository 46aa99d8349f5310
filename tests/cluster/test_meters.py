"""What a worker tells, in numbers and in words, is found where Ray keeps it."""

import json
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ray

SECONDS_TO_SHOW = 30.0
"""Workers report every 10 s."""


def scraped() -> str:
    """Return what the metrics endpoints of all nodes answer."""
    import ray

    pages = []
    for node in ray.nodes():
        host, port = node["NodeManagerAddress"], node["MetricsExportPort"]
        with urllib.request.urlopen(f"http://{host}:{port}/metrics") as answer:
            pages.append(answer.read().decode())
    return "\n".join(pages)


def value_of(name: str, labels: Mapping[str, str]) -> float:
    """Return the sum of a meter's lines with these labels."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(
        float(line.rpartition(" ")[2])
        for line in scraped().splitlines()
        if line.startswith(f"ray_diffsmooth_{name}{{")
        and all(label in line for label in wanted)
    )


def shown(name: str, labels: Mapping[str, str], wanted: float) -> float:
    """Return a meter's value once it is the wanted one, or at the end."""
    until = time.monotonic() + SECONDS_TO_SHOW
    while value_of(name, labels) != wanted and time.monotonic() < until:
        time.sleep(0.5)
    return value_of(name, labels)


def work() -> str:
    """Count and tell in a worker; returns the folder of Ray's logs."""
    import logging

    import ray

    from infra.logs import set_up_worker_logging
    from infra.meters import Meters

    meters = Meters("runs/watched", "fused", 0.25)
    for _ in range(3):
        meters.count("votes", 700)
        meters.observe_seconds(0.5)
    meters.count("quarantined", 1)
    set_up_worker_logging("runs/watched", "node-3")
    logging.getLogger("pipelines.stages").info("unit done", extra={"unit": "0af3"})
    return str(ray._private.worker._global_node.get_logs_dir_path())


def test_what_a_worker_counts_and_tells_can_be_watched(ray_cluster: None) -> None:
    import ray

    task: Any = ray.remote(work)
    logs = Path(ray.get(task.remote()))

    told = [
        json.loads(line)
        for path in logs.glob("worker-*.err")
        for line in path.read_text().splitlines()
        if '"runs/watched"' in line
    ]
    assert [(line["unit"], line["node"]) for line in told] == [("0af3", "node-3")]
    labels = {"run": "runs/watched", "stage": "fused", "sigma": "0.25"}
    assert shown("votes_total", labels, 2100.0) == 2100.0
    assert value_of("quarantined_total", labels) == 1.0
    assert value_of("stage_seconds_count", labels) == 3.0
    assert value_of("stage_seconds_bucket", {**labels, "le": "0.3"}) == 0.0
    assert value_of("stage_seconds_bucket", {**labels, "le": "1.0"}) == 3.0
