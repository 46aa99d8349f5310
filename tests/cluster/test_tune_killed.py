"""A study whose driver is killed ends with the trials of one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

pytestmark = pytest.mark.ray

Start = Callable[[str], subprocess.Popen]

LEARNS = (
    "study.search={kind: optuna, num_trials: 24, seed: 3, num_startup: 8}",
    "study.space={local.sigma: [.1, .2, .3, .4, .5, .6], local.num: {low: 1, high: 5}}",
    "study.baselines={}",
    "data.subset=first:3",
    "study.budget.like={num_estimate: 200, num_local: 1}",
)


@pytest.fixture
def start(
    ray_cluster: None, runs: Path, study_file: Path
) -> Iterator[Callable[..., Any]]:
    """Return what starts a driver that studies into a folder."""
    begun: list[subprocess.Popen] = []

    def begin(name: str) -> subprocess.Popen:
        joined = f"ray.address={ray.get_runtime_context().gcs_address}"
        words = ["tune", str(study_file), "--out", str(runs / name)]
        for setting in (*LEARNS, joined):
            words += ["--set", setting]
        program = "from tune.cli import main; main()"
        driver = subprocess.Popen([sys.executable, "-c", program, *words])
        begun.append(driver)
        return driver

    yield begin
    for driver in begun:
        if driver.poll() is None:
            os.kill(driver.pid, signal.SIGKILL)
            driver.wait()


def trials(out: Path) -> list[Path]:
    return sorted(out.glob("studies/*/trials/*.json"))


def records(out: Path) -> list[dict[str, Any]]:
    paths = trials(out)
    found = [json.loads(path.read_text()) for path in paths]
    return [{k: v for k, v in one.items() if k != "seconds"} for one in found]


def test_a_study_whose_driver_is_killed_ends_with_the_same_trials(
    study: Callable[..., Any], start: Start, runs: Path
) -> None:
    driver, out = start("learned_killed"), runs / "learned_killed"
    end = time.monotonic() + 120
    while len(trials(out)) < 10:
        assert driver.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    kept = {p: p.stat().st_mtime_ns for p in trials(out)}
    study("learned_killed", *LEARNS)
    undisturbed = Path(shutil.copytree(out, runs / "learned"))  # whose votes it takes
    shutil.rmtree(undisturbed / "studies")
    study("learned", *LEARNS)

    assert len(kept) < 24
    assert all(path.stat().st_mtime_ns == moment for path, moment in kept.items())
    assert records(out) == records(undisturbed)
    points = {json.dumps(one["point"], sort_keys=True) for one in records(out)}
    assert len(points) == len(records(out)) == 24
