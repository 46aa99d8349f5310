import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray
from processes import kill, started_by

from pipelines.rebuild import rebuild
from pipelines.verify import verify

pytestmark = pytest.mark.ray

Certify = Callable[..., Path]

SEQUENTIAL = ("rule.kind=sequential", "sigma=[0.25]", "sampling.num_estimate=500")


def certificates(out: Path) -> bytes:
    return (out / "certificates.parquet").read_bytes()


@pytest.fixture(scope="module")
def undisturbed_rounds(certify_six: Certify) -> Path:
    return certify_six("rounds", *SEQUENTIAL, "stages.fused.actors=2")


def test_images_stop_by_themselves_and_say_why(undisturbed_rounds: Path) -> None:
    rows = pq.read_table(undisturbed_rounds / "certificates.parquet").to_pylist()

    assert {row["rule"] for row in rows} == {"sequential"}
    assert all(row["stopped"] for row in rows)
    assert all(row["radius_two_sided"] is None for row in rows)
    assert min(row["num_draws"] for row in rows) < 700
    for row in rows:
        counted = sum(entry["count"] for entry in row["counts"])
        assert counted + row["invalid"] == row["num_draws"]


def test_the_table_lies_in_out_under_its_hash(undisturbed_rounds: Path) -> None:
    (run,) = json.loads((undisturbed_rounds / "manifest.json").read_text())["runs"]
    (table,) = undisturbed_rounds.glob("tables/sigma_0.25/*.json")

    assert run["analysis"]["table_sha256"].startswith(table.stem)
    assert json.loads(table.read_text())["looks"][-1] == 700
    assert verify(str(undisturbed_rounds)).holds


@pytest.mark.parametrize(
    "settings",
    [
        ("stages.fused.actors=1", "stages.unit_votes=300"),
        ("plan=staged", "stages.purify.actors=1"),
    ],
    ids=["other_units", "staged"],
)
def test_plan_actors_and_units_do_not_matter(
    certify_six: Certify,
    undisturbed_rounds: Path,
    settings: tuple[str, ...],
) -> None:
    out = certify_six(f"rounds_{settings[0]}", *SEQUENTIAL, *settings)

    assert certificates(out) == certificates(undisturbed_rounds)


def test_a_run_that_is_done_casts_no_vote(
    certify_six: Certify, undisturbed_rounds: Path
) -> None:
    before = {p: p.stat().st_mtime_ns for p in undisturbed_rounds.glob("votes/*/*")}
    certified = certificates(undisturbed_rounds)

    certify_six("rounds", *SEQUENTIAL)

    after = {p: p.stat().st_mtime_ns for p in undisturbed_rounds.glob("votes/*/*")}
    assert after == before
    assert certificates(undisturbed_rounds) == certified


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("rule.kind=fixed",), "the rule is now fixed"),
        (("sampling.num_estimate=2000",), "from 7 looks up to 700 votes to 21 looks"),
        (("sampling.failure_probability=0.01",), "of an image would change from 0.001"),
        (("rule.radii=[0.1, 0.25]",), "radius 0.1 would be new, below others"),
        (("rule.preset=anytime",), "whether the preset is anytime would change"),
    ],
)
def test_votes_that_were_looked_at_are_not_read_by_another_rule(
    undisturbed_rounds: Path, settings: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ValueError, match="need the same table again") as refused:
        rebuild([str(undisturbed_rounds)], list(settings), None)

    assert told in str(refused.value)


def test_fewer_radii_of_the_same_table_are_a_further_claim(
    undisturbed_rounds: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(undisturbed_rounds, tmp_path / "fewer"))

    curves, _ = rebuild([str(out)], ["rule.radii=[0.25]"], None)

    assert curves[0].radii == (0.0, 0.25)
    assert len(curves[0].claims) == 2


CERTIFY = "from pipelines.cli import main; main()"

Start = Callable[[str], subprocess.Popen]


def wait_for_votes(out: Path, num_files: int) -> None:
    deadline = time.monotonic() + 120
    while len(list(out.glob("votes/*/*.parquet"))) < num_files:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def start(certify_six: Certify, recipe_file: Path, runs: Path) -> Start:
    """Return what starts a driver and returns once some votes are there."""
    joined = f"ray.address={ray.get_runtime_context().gcs_address}"

    def begin(name: str) -> subprocess.Popen:
        out = runs / name
        words = ["certify", str(recipe_file), "--out", str(out), "--set", joined]
        for setting in (*SEQUENTIAL, "stages.unit_votes=100"):
            words += ["--set", setting]
        driver = subprocess.Popen([sys.executable, "-c", CERTIFY, *words])
        wait_for_votes(out, 8)
        return driver

    return begin


def test_a_killed_planner_goes_on_and_a_killed_driver_ends_in_the_same_bytes(
    certify_six: Certify, start: Start, undisturbed_rounds: Path, runs: Path
) -> None:
    out, driver = runs / "killed_rounds", start("killed_rounds")
    told = started_by(os.getpid())
    (planner,) = [pid for pid in told if "ExpandRounds" in told[pid]]

    kill(planner)
    before = len(list(out.glob("votes/*/*.parquet")))
    wait_for_votes(out, before + 8)  # planned again, and going on
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    kept = {p: p.stat().st_mtime_ns for p in out.glob("votes/*/*.parquet")}
    certify_six("killed_rounds", *SEQUENTIAL)

    assert len(kept) >= before + 8
    assert len(kept) < len(list(out.glob("votes/*/*.parquet")))
    assert all(path.stat().st_mtime_ns == moment for path, moment in kept.items())
    assert certificates(out) == certificates(undisturbed_rounds)
