"""Faults of processes: an actor, a writer or the driver is killed or interrupted."""

import time

import processes
from ground import Case, Ground
from outcomes import Outcome


def actor_killed(ground: Ground, plan: str) -> Outcome:
    """SIGKILL of the actor that makes noise, in the middle of a unit."""
    case = ground.case("actor_killed", plan)
    with case.voting() as driver:
        victim = case.next_line("block")
        processes.kill(victim.pid)
        status, left = case.ended(driver)
    return case.outcome(
        "stage actor killed mid-unit",
        f"SIGKILL during block {victim.about}",
        seconds_to_continue=case.seconds_to_continue(victim.moment),
        status=status,
        left=left,
    )


def writer_killed(ground: Ground, plan: str) -> Outcome:
    """SIGKILL of a writer that has written its temporary file and not yet named it.

    The run goes on by itself; the next one, which has nothing to do, tidies up.
    """
    case = ground.case("writer_killed", plan, publish_seconds=0.3)
    with case.voting() as driver:
        victim = case.next_line("publish")
        time.sleep(0.1)
        processes.kill(victim.pid)
        if driver.ended():
            raise AssertionError(f"a run has to outlive its writer; {driver.told()}")
    with case.driver() as driver:
        status, left = case.ended(driver)
    return case.outcome(
        "writer killed mid-commit",
        "SIGKILL between the temporary file and its name",
        seconds_to_continue=case.seconds_to_continue(victim.moment),
        status=status,
        left=left,
    )


def driver_killed(ground: Ground, plan: str) -> Outcome:
    """SIGKILL of the driver, twice; the command is run again after each."""
    case = ground.case("driver_killed", plan)
    left: list[str] = []
    restarts: list[float] = []
    for _ in range(2):
        with case.voting(num_files=3) as driver:
            left += driver.kill()
        restarts.append(time.time())
    with case.driver() as driver:
        status, left_at_end = case.ended(driver)
    return case.outcome(
        "driver killed",
        "SIGKILL twice, after three new vote files each",
        seconds_to_continue=_slowest(case, restarts),
        status=status,
        left=(*left, *left_at_end),
    )


def driver_interrupted(ground: Ground, plan: str) -> Outcome:
    """SIGINT of the driver; the command is run again."""
    case = ground.case("driver_interrupted", plan)
    with case.voting() as driver:
        driver.interrupt()
        if driver.ended() != 1:
            raise AssertionError(f"an interrupted run needs status 1; {driver.told()}")
        left = processes.left_after(driver.mark)
        if f"to continue: diffsmooth certify {ground.recipe}" not in driver.told():
            raise AssertionError(f"nothing said how to go on; {driver.told()}")
    return case.run_again(
        "driver interrupted", "SIGINT after the first vote file", tuple(left)
    )


def _slowest(case: Case, restarts: list[float]) -> float | None:
    found = [case.seconds_to_continue(restart) for restart in restarts]
    return max(found) if None not in found else None
