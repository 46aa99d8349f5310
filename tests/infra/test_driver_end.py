import signal
import subprocess
import sys
import time

import psutil
import pytest

ENDS_ITS_WORKERS = """
import subprocess, time, psutil
from infra import driver_end
driver_end.WORKERS_END_SECONDS = 0.2
def start(title):
    command = ["bash", "-c", f"exec -a {title} sleep 60"]
    process = subprocess.Popen(command, start_new_session=True)
    while psutil.Process(process.pid).cmdline()[0] != title:
        time.sleep(0.01)
    return process
stranger = start("ray::Stranger")
driver_end.mark_workers()
left, other = start("ray::MapWorker"), start("other")
driver_end.end_workers()
print(left.wait(10), other.poll(), stranger.poll(), flush=True)
other.kill()
stranger.kill()
"""

DOES_NOT_END = """
import time
from infra import driver_end
driver_end.STOP_SECONDS = 0.5
driver_end.WORKERS_END_SECONDS = 0.1
driver_end.end_on_sigterm()
print("ready", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    time.sleep(60)
"""


def test_only_workers_of_this_driver_are_ended() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ENDS_ITS_WORKERS],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.split() == [str(-signal.SIGKILL), "None", "None"], ran.stderr


@pytest.mark.parametrize("times", [1, 2])
def test_sigterm_interrupts_once_and_ends_who_hangs(times: int) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DOES_NOT_END],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    sent = time.monotonic()
    for _ in range(times):
        psutil.Process(driver.pid).send_signal(signal.SIGTERM)
        time.sleep(0.1)
    told, error = driver.communicate(timeout=30)

    assert driver.returncode == 1
    assert told == "interrupted\n"
    assert "run the same command again" in error
    assert time.monotonic() - sent < 10
