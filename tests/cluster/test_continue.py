import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray

from pipelines.stall import Stall

pytestmark = pytest.mark.ray

Certify = Callable[..., Path]


def certificates(out: Path) -> bytes:
    return (out / "certificates.parquet").read_bytes()


def test_a_run_continues_from_the_votes_on_disk(
    certify_six: Certify, undisturbed: Path
) -> None:
    out = certify_six("continued", "sampling.num_estimate=100", "sigma=[0.25]")
    lost = sorted(out.glob("votes/sigma_0.25/*.parquet"))[0]
    lost.unlink()
    kept = {p: p.stat().st_mtime_ns for p in out.glob("votes/*/*.parquet")}

    certify_six("continued")

    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert certificates(out) == certificates(undisturbed)


def test_a_run_that_is_done_casts_no_vote(
    certify_six: Certify, undisturbed: Path
) -> None:
    before = {p: p.stat().st_mtime_ns for p in undisturbed.glob("votes/*/*.parquet")}
    certified = certificates(undisturbed)

    certify_six("undisturbed")

    after = {p: p.stat().st_mtime_ns for p in undisturbed.glob("votes/*/*.parquet")}
    assert after == before
    assert certificates(undisturbed) == certified


def test_a_stalled_run_begins_anew_and_ends_in_the_same_bytes(
    certify_six: Certify,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    once = iter([True])
    monkeypatch.setattr(
        Stall, "noticed", lambda _, news: bool(news.names) and next(once, False)
    )

    out = certify_six("stalled", "stages.unit_votes=100", "sigma=[0.25]")

    assert caplog.text.count("begun anew") == 1
    rows, whole = (
        pq.read_table(o / "certificates.parquet") for o in (out, undisturbed)
    )
    assert rows.to_pylist() == [r for r in whole.to_pylist() if r["sigma"] == 0.25]


def test_report_from_votes_alone_gives_the_same_bytes(
    certify_six: Certify, undisturbed: Path, runs: Path
) -> None:
    from pipelines.rebuild import rebuild

    certified = certificates(undisturbed)
    bare = runs / "bare"
    (bare / "votes").parent.mkdir()
    (undisturbed / "votes").rename(bare / "votes")
    try:
        rebuild([str(bare)], [], None)
        assert certificates(bare) == certified
    finally:
        (bare / "votes").rename(undisturbed / "votes")


def test_another_seed_is_refused_over_the_same_votes(
    certify_six: Certify, undisturbed: Path
) -> None:
    with pytest.raises(ValueError, match="seed: 0, now 1") as refused:
        certify_six("undisturbed", "seed=1", "local.sigma=0.1")

    assert "local.sigma: 0.12, now 0.1" in str(refused.value)


def test_another_batch_shape_may_join_and_says_how_many_votes_flip(
    certify_six: Certify, caplog: pytest.LogCaptureFixture
) -> None:
    out = certify_six("mixed", "sigma=[0.25]", "sampling.num_estimate=100")
    with pytest.raises(ValueError, match="strict"):
        certify_six("mixed", "sigma=[0.25]", "batch=37", "strict=true")

    certify_six("mixed", "sigma=[0.25]", "batch=37")

    (run,) = json.loads((out / "manifest.json").read_text())["runs"]
    assert "mixes votes" in caplog.text
    assert 0 <= run["share_of_votes_that_flip"] < 0.01
    assert len(run["conditions"]) == 2


CERTIFY = """
import signal
from pipelines.cli import main
# Whoever started the tests in the background made their children deaf to it.
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def test_ctrl_c_keeps_the_votes_and_says_how_to_go_on(
    certify_six: Certify, undisturbed: Path, recipe_file: Path, runs: Path
) -> None:
    out = runs / "interrupted"
    joined = f"ray.address={ray.get_runtime_context().gcs_address}"
    words = ["certify", str(recipe_file), "--out", str(out), "--set", joined]
    stopped = subprocess.Popen(
        [sys.executable, "-c", CERTIFY, *words, "--set", "stages.unit_votes=100"],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("votes/*/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    stopped.send_signal(signal.SIGINT)
    _, told = stopped.communicate(timeout=60)
    kept = {p: p.stat().st_mtime_ns for p in out.glob("votes/*/*.parquet")}

    certify_six("interrupted")

    assert stopped.returncode == 1, told
    assert f"to continue: diffsmooth certify {recipe_file} --out {out}" in told
    assert 0 < len(kept) < len(list(out.glob("votes/*/*.parquet")))
    assert all(path.stat().st_mtime_ns == moment for path, moment in kept.items())
    assert certificates(out) == certificates(undisturbed)
