import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.object_store import open_store
from pipelines.certify_stage import certify_here
from pipelines.claims import claims_by_sigma, failure_probability_of, joined
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import reading_of
from pipelines.rebuild import rebuild
from pipelines.recipe import Recipe
from pipelines.resolved import resolved_yaml
from pipelines.results import curves_of, write_manifest, write_results
from pipelines.summary import print_report

Cast = Callable[..., Any]
Certify = Callable[..., Path]

STRICTER = "sampling.failure_probability=0.0005"
SUM = "2 claims rest on these votes; their failure probabilities add up to"


@pytest.fixture
def certify(recipe_of: Callable[..., Recipe], cast: Cast, tmp_path: Path) -> Certify:
    """Return what certifies the small recipe into a folder, as ``certify`` would."""

    def run(name: str, *settings: str) -> Path:
        out, recipe = tmp_path / name, recipe_of(*settings)
        store, found = open_store(out), []
        for one in recipe.runs:
            labels = {entry.key: entry.label for entry in cast(one, out)}
            index = LedgerIndex(store, one.sigma)
            found.append(certify_here(store, reading_of(one, 1), index, labels))
        store.write("recipe.yaml", resolved_yaml(recipe).encode())
        curves = curves_of(store, "small", found)
        write_results(store, found, curves)
        flips = [None] * len(curves)
        write_manifest(store, "small", found, curves, flips=flips)
        return out

    return run


@pytest.fixture
def finished(certify: Certify) -> Path:
    return certify("finished")


def manifest(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_text())


def claims(out: Path) -> list[dict[str, Any]]:
    (run,) = manifest(out)["runs"]
    return run["claims"]


def report(out: Path, *settings: str) -> None:
    rebuild([str(out)], settings, None)


def text_of(out: Path, name: str) -> str:
    return (out / "report" / name).read_text()


def votes_of(out: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in (out / "votes").rglob("*.parquet")}


def test_a_first_run_is_one_claim_and_the_report_adds_nothing_up(
    finished: Path,
) -> None:
    (claim,) = claims(finished)
    (row, _) = csv.DictReader(text_of(finished, "table.csv").splitlines())

    assert claim["failure_probability"] == 0.001
    assert (claim["num_select"], claim["num_estimate"]) == (10, 20)
    assert claim["rule"]["kind"] == "fixed"
    assert [subset["subset"] for subset in claim["subsets"]] == ["first:3"]
    assert "claims rest" not in text_of(finished, "table.md")
    assert (row["num_claims"], row["failure_probability_of_all_claims"]) == (
        "1",
        "0.001",
    )


def test_a_report_with_another_promise_twice_is_one_further_claim(
    finished: Path, certify: Certify
) -> None:
    votes = votes_of(finished)

    report(finished, STRICTER)
    once = text_of(finished, "table.md"), manifest(finished)["runs"]
    report(finished, STRICTER)

    assert (text_of(finished, "table.md"), manifest(finished)["runs"]) == once
    assert [c["failure_probability"] for c in claims(finished)] == [0.001, 0.0005]
    assert votes_of(finished) == votes
    fresh = certify("fresh", STRICTER)
    certificates = "certificates.parquet"
    assert (finished / certificates).read_bytes() == (fresh / certificates).read_bytes()
    assert len(claims(fresh)) == 1


def test_every_form_of_the_report_adds_the_claims_up(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curves, store = rebuild([str(finished)], [STRICTER], None)
    print_report(curves, store, {})

    printed = " ".join(capsys.readouterr().out.split())
    for text in (
        printed,
        *(text_of(finished, name) for name in ("table.md", "table.tex", "index.html")),
    ):
        assert text.count(f"{SUM} 0.0015.") == 1
    (row, envelope) = csv.DictReader(text_of(finished, "table.csv").splitlines())
    assert row["num_claims"] == envelope["num_claims"] == "2"
    assert float(row["failure_probability_of_all_claims"]) == 0.0015


def test_the_first_promise_again_does_not_shorten_the_list(finished: Path) -> None:
    report(finished, STRICTER)
    listed = claims(finished)

    report(finished)

    assert claims(finished) == listed
    assert f"{SUM} 0.0015." in text_of(finished, "table.md")


def test_other_numbers_are_further_claims(finished: Path) -> None:
    report(finished, "sampling.num_estimate=10")
    report(finished, "sampling.num_estimate=10", "sampling.failure_probability=0.002")

    assert [
        (c["num_estimate"], c["failure_probability"]) for c in claims(finished)
    ] == [
        (20, 0.001),
        (10, 0.001),
        (10, 0.002),
    ]
    assert "3 claims rest on these votes; " in text_of(finished, "table.md")
    assert "add up to 0.004." in text_of(finished, "table.md")


def test_the_same_numbers_over_more_images_are_the_same_claim(
    finished: Path, certify: Certify
) -> None:
    certify("finished", "data.subset=first:4")
    certify("finished", "data.subset=first:4")

    (claim,) = claims(finished)
    assert [one["subset"] for one in claim["subsets"]] == ["first:3", "first:4"]
    assert "claims rest" not in text_of(finished, "table.md")


def test_claims_belong_to_the_votes_of_one_sigma(certify: Certify) -> None:
    both = ("sigma=[0.25, 0.5]", "local.sigma=0.1")
    out = certify("both", *both)
    certify("both", "sigma=[0.5]", "local.sigma=0.1", STRICTER)

    (run,) = manifest(out)["runs"]
    (other,) = manifest(out)["claims_at_other_sigmas"]
    assert [c["failure_probability"] for c in run["claims"]] == [0.001, 0.0005]
    assert (other["sigma"], len(other["claims"])) == (0.25, 1)

    certify("both", *both)

    (first, second) = manifest(out)["runs"]
    assert [len(run["claims"]) for run in (first, second)] == [1, 2]
    assert manifest(out)["claims_at_other_sigmas"] == []
    lines = text_of(out, "table.md").splitlines()
    assert [SUM in line for line in lines[:2]] == [False, True]


def test_claims_of_votes_that_are_gone_are_no_claims_of_others(
    finished: Path, certify: Certify
) -> None:
    shutil.rmtree(finished / "votes")

    certify("finished", "seed=1", STRICTER)

    assert [c["failure_probability"] for c in claims(finished)] == [0.0005]


@pytest.mark.parametrize("left", ["claims", "analysis"])
def test_an_earlier_manifest_tells_what_it_can(finished: Path, left: str) -> None:
    before = manifest(finished)
    (run,) = before["runs"]
    del run["claims"], before["claims_at_other_sigmas"]
    if left == "claims":
        run["claims"] = [run["analysis"], {**run["analysis"], "subset": "first:2"}]
        del run["analysis"]
    (finished / "manifest.json").write_text(json.dumps(before))

    report(finished, STRICTER)

    first, second = claims(finished)
    assert (first["failure_probability"], second["failure_probability"]) == (
        0.001,
        0.0005,
    )
    assert len(first["subsets"]) == (2 if left == "claims" else 1)


def test_certificates_without_a_manifest_are_a_claim_too(finished: Path) -> None:
    (finished / "manifest.json").unlink()  # as a driver killed before it wrote it

    report(finished, STRICTER)

    assert [c["failure_probability"] for c in claims(finished)] == [0.001, 0.0005]


def test_without_certificates_and_manifest_there_is_no_claim_before(
    finished: Path,
) -> None:
    (finished / "manifest.json").unlink()
    (finished / "certificates.parquet").unlink()

    report(finished, STRICTER)

    assert [c["failure_probability"] for c in claims(finished)] == [0.0005]
    assert claims_by_sigma({}) == {}


def test_a_report_of_several_runs_says_it_of_each(
    finished: Path, certify: Certify, tmp_path: Path
) -> None:
    report(finished, STRICTER)
    other = certify("other")

    rebuild([str(finished), str(other)], [], str(tmp_path / "together"))

    lines = text_of(tmp_path / "together", "table.md").splitlines()[:2]
    assert [SUM in line for line in lines] == [True, False]


def test_probabilities_add_up_without_rounding() -> None:
    listed = joined({"num_estimate": n, "failure_probability": 0.1} for n in range(10))

    assert failure_probability_of(listed) == 1.0
    assert len(listed) == 10
