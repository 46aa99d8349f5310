"""Faults of the place that votes are written to: an S3 server, a full disk."""

import errno
import os
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from faulty_s3 import FaultyProxy, known, moto, proxied
from ground import Case, Ground, Impossible
from outcomes import Outcome, blocks

UNAVAILABLE_SECONDS, RESET_SECONDS = 6.0, 4.0


def s3_fails_for_a_while(
    ground: Ground, plan: str, server: Mapping[str, str] | None = None
) -> Outcome:
    """503, then reset connections, for seconds: the run goes on by itself.

    Args:
        ground: where.
        plan: of the run.
        server: whose bucket ``lab`` is there; ``None`` starts moto.
    """
    with _bucket_behind_proxy(ground, plan, server) as (proxy, case):
        with case.voting() as driver:
            fault = time.time()
            proxy.fail("503", UNAVAILABLE_SECONDS)
            time.sleep(UNAVAILABLE_SECONDS)
            proxy.fail("reset", RESET_SECONDS)
            status, left = case.ended(driver)
        return case.outcome(
            "S3 server fails for a while",
            f"503 for {UNAVAILABLE_SECONDS:.0f} s, then resets for "
            f"{RESET_SECONDS:.0f} s: {proxy.num_faults} requests",
            seconds_to_continue=case.seconds_to_continue(fault),
            status=status,
            left=left,
        )


def s3_fails_too_long(ground: Ground, plan: str) -> Outcome:
    """503 for longer than all attempts take: status 1, and the command continues."""
    with _bucket_behind_proxy(ground, plan, None) as (proxy, case):
        few = replace(case, server={**case.server, "AWS_MAX_ATTEMPTS": "2"})
        with few.voting() as driver:
            proxy.fail("503", 3600.0)
            driver.require_refusal(case.out, "Reduce your request rate")
            proxy.fail("503", 0.0)
        return case.run_again(
            "S3 server fails for long",
            f"503 until the run gave up: {proxy.num_faults} requests",
        )


@contextmanager
def _bucket_behind_proxy(
    ground: Ground, plan: str, server: Mapping[str, str] | None
) -> Iterator[tuple[FaultyProxy, Case]]:
    if server is None:
        with moto() as started, _bucket_behind_proxy(ground, plan, started) as found:
            yield found
        return
    with proxied(server) as (proxy, through), known(through):
        _make_bucket()
        name = uuid.uuid4().hex
        case = ground.case(f"s3_{name[:8]}", plan)
        database = f"tracking.uri=sqlite:///{ground.folder}/s3.db"
        yield (
            proxy,
            replace(
                case,
                out=f"s3://lab/{name}/runs/six",
                server=through,
                settings=(database,),
            ),
        )


def _make_bucket() -> None:
    """Make the bucket ``lab`` at the server this process knows, if it is not there."""
    from botocore.exceptions import ClientError
    from botocore.session import Session

    client = Session().create_client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    try:
        client.head_bucket(Bucket="lab")
    except ClientError:
        client.create_bucket(Bucket="lab")


def disk_full(ground: Ground, plan: str) -> Outcome:
    """OUT's disk fills up: status 1 and the reason; once there is room, it goes on."""
    case = ground.case("disk_full", plan)
    with small_disk(ground.folder / f"disk_{plan}") as disk:
        case = replace(
            case,
            out=str(disk / "six"),
            settings=(f"tracking.uri=sqlite:///{ground.folder}/disk.db",),
        )
        with case.voting() as driver:
            ballast = fill(disk)
            said = ["No space left on device", str(disk)]
            driver.require_refusal(*said)
        blocks(case.store)
        ballast.unlink()
        return case.run_again(
            "disk full", "no byte left after the first vote file, then room again"
        )


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount 16 MiB of memory as a disk.

    Raises:
        Impossible: the kernel refuses.
    """
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as refused:
        raise Impossible(f"a small disk cannot be mounted here: {refused}") from refused
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Write a file that takes all the room there is; returns it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError as full:
                if full.errno != errno.ENOSPC:
                    raise
    return ballast
