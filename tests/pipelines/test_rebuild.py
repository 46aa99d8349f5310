import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.object_store import open_store
from infra.sources.digits import Digits
from infra.tables import from_bytes, to_bytes
from pipelines.certify_stage import certify_here
from pipelines.compact import compact
from pipelines.decode import entry_digests
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import reading_of
from pipelines.rebuild import rebuild, stored_indexes, stored_recipe
from pipelines.recipe import Recipe
from pipelines.resolved import resolved_yaml
from pipelines.results import curves_of, write_results

Cast = Callable[..., Any]
SETTINGS = ("sigma=[0.25, 0.5]", "local.sigma={per_sigma: {0.25: 0.12, 0.5: 0.2}}")


@pytest.fixture
def finished(recipe_of: Callable[..., Recipe], cast: Cast, tmp_path: Path) -> Path:
    """Return an OUT with votes, recipe, certificates and report."""
    return certified(recipe_of(*SETTINGS), cast, tmp_path / "small")


def certified(recipe: Recipe, cast: Cast, out: Path) -> Path:
    store = open_store(out)
    found = []
    for run in recipe.runs:
        labels = {entry.key: entry.label for entry in cast(run, out)}
        index = LedgerIndex(store, run.sigma)
        found.append(certify_here(store, reading_of(run, 1), index, labels))
    store.write("recipe.yaml", resolved_yaml(recipe).encode())
    write_results(store, found, curves_of(store, "small", found))
    return out


def contents(out: Path) -> dict[str, bytes]:
    files = [out / "certificates.parquet", *(out / "report").iterdir()]
    return {path.name: path.read_bytes() for path in files}


def forget_all_but_votes(out: Path) -> None:
    for path in out.iterdir():
        if path.name == "votes":
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def test_votes_alone_give_every_file_again_byte_for_byte(finished: Path) -> None:
    before = contents(finished)
    forget_all_but_votes(finished)

    rebuild([str(finished)], [], None)

    assert contents(finished) == before
    assert (finished / "manifest.json").exists()


def test_votes_alone_know_their_recipe(finished: Path) -> None:
    store = open_store(finished)
    indexes = stored_indexes(store)
    runs = stored_recipe(store, indexes, []).runs
    store.local_path.joinpath("recipe.yaml").unlink()  # type: ignore[union-attr]

    assert stored_recipe(store, indexes, []).runs == runs


def test_merged_votes_give_every_file_again_byte_for_byte(finished: Path) -> None:
    before = contents(finished)
    forget_all_but_votes(finished)
    compact(str(finished))

    rebuild([str(finished)], [], None)

    assert contents(finished) == before
    assert len(list((finished / "votes").rglob("*.parquet"))) == 2


def test_images_with_votes_for_predictions_alone_are_not_certified(
    finished: Path, cast: Cast, recipe_of: Callable[..., Recipe]
) -> None:
    before = contents(finished)
    more = recipe_of(*SETTINGS, "data.subset=first:5")
    for run in more.runs:
        cast(run, finished, {"predict": 1})

    rebuild([str(finished)], [], None)

    certificates = pq.read_table(finished / "certificates.parquet")
    assert contents(finished)["certificates.parquet"] == before["certificates.parquet"]
    assert len(certificates) == 2 * 3


def test_rebuilding_twice_changes_nothing(finished: Path) -> None:
    rebuild([str(finished)], [], None)
    before = contents(finished)

    rebuild([str(finished)], [], None)

    assert contents(finished) == before


def test_what_no_vote_depends_on_may_change_afterwards(finished: Path) -> None:
    curves, _ = rebuild([str(finished)], ["sampling.failure_probability=0.1"], None)
    strict, _ = rebuild([str(finished)], [], None)

    assert curves[0].failure_probability == 0.1
    assert (curves[0].radius >= strict[0].radius).all()
    assert curves[0].largest_radius > strict[0].largest_radius


def test_fewer_votes_than_there_are_may_be_certified(finished: Path) -> None:
    curves, _ = rebuild([str(finished)], ["sampling.num_estimate=10"], None)

    assert set(curves[0].column("num_draws")) == {10}
    assert "incomplete" not in curves[0].column("reason")


def test_more_votes_than_any_image_has_are_refused(finished: Path) -> None:
    with pytest.raises(ValueError, match="has them for none of 3"):
        rebuild([str(finished)], ["sampling.num_estimate=30"], None)


def test_images_asked_for_whose_votes_are_missing_have_radius_0(
    finished: Path,
) -> None:
    asked = [{"image_key": "digits_9999", "label": 3, "sha256": "0"}]
    before = pq.read_table(finished / "certificates.parquet")
    keys = before.select(["image_key", "label"]).to_pylist()
    digests = entry_digests(Digits(), Digits().entries())
    rows = asked + [{**row, "sha256": digests[row["image_key"]]} for row in keys]
    (finished / "images.parquet").write_bytes(
        to_bytes(
            pa.Table.from_pylist(rows)
            .group_by(["image_key", "label", "sha256"])
            .aggregate([]),
            {},
        )
    )

    rebuild([str(finished)], [], None)

    table = pq.read_table(finished / "certificates.parquet").to_pylist()
    manifest = json.loads((finished / "manifest.json").read_text())
    lost = [row for row in table if row["image_key"] == "digits_9999"]
    assert [(row["radius"], row["reason"]) for row in lost] == [(0.0, "incomplete")] * 2
    assert manifest["runs"][0]["images_asked_for"] == 4
    assert manifest["runs"][0]["images_done"] == 3


def test_votes_on_other_content_than_was_asked_for_are_refused(finished: Path) -> None:
    keys = pq.read_table(finished / "certificates.parquet")["image_key"].to_pylist()
    asked = [{"image_key": k, "label": 0, "sha256": "0"} for k in sorted(set(keys))]
    table = to_bytes(pa.Table.from_pylist(asked), {})
    (finished / "images.parquet").write_bytes(table)

    with pytest.raises(ValueError, match="needs the images its votes were cast on"):
        rebuild([str(finished)], [], None)


def test_other_images_are_not_a_matter_of_report(finished: Path) -> None:
    with pytest.raises(ValueError, match="images that certify was asked for"):
        rebuild([str(finished)], ["data.subset=first:1"], None)


def test_a_strict_run_takes_no_mixture(finished: Path) -> None:
    file = sorted((finished / "votes" / "sigma_0.25").iterdir())[0]
    votes, facts = from_bytes(file.read_bytes(), "votes")
    index = votes.schema.get_field_index("conditions")
    other = pa.array(['{"batch": 7, "device": "another"}'] * len(votes))
    changed = votes.set_column(index, "conditions", other)
    file.write_bytes(to_bytes(changed, dict(facts)))

    with pytest.raises(ValueError, match="another"):
        rebuild([str(finished)], ["strict=true"], None)


def test_what_votes_depend_on_may_not_change(finished: Path) -> None:
    with pytest.raises(ValueError, match="seed: 0, now 1"):
        rebuild([str(finished)], ["seed=1"], None)


def test_several_runs_get_one_report_together(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "twin")

    curves, store = rebuild(
        [str(finished), str(tmp_path / "twin")], [], str(tmp_path / "both")
    )

    table = (tmp_path / "both" / "report" / "table.md").read_text()
    assert "small" in table
    assert "twin" in table
    assert (len(curves), store.local_path) == (4, tmp_path / "both")


def test_votes_of_a_sigma_that_are_gone_are_missed(finished: Path) -> None:
    shutil.rmtree(finished / "votes" / "sigma_0.5")

    with pytest.raises(ValueError, match=r"none at sigma 0.5. Run diffsmooth certify"):
        rebuild([str(finished)], [], None)


def test_a_folder_without_votes_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no votes"):
        rebuild([str(tmp_path)], [], None)


def test_a_claim_is_listed_before_anyone_can_read_it(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    rebuild([str(finished)], [], None)
    monkeypatch.setattr("pipelines.results.render", stopped)
    with pytest.raises(KeyboardInterrupt):
        rebuild([str(finished)], ["sampling.failure_probability=0.01"], None)

    for run in json.loads((finished / "manifest.json").read_text())["runs"]:
        made = [claim["failure_probability"] for claim in run["claims"]]
        assert made == [0.001, 0.01]
