import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.object_store import Store
from pipelines.check import Check
from pipelines.compact import compact
from pipelines.rebuild import rebuild
from pipelines.verify import verify

Names = Callable[[], list[str]]
Read = Callable[[str], tuple[pa.Table, dict[str, str]]]
Change = Callable[..., None]
Checked = Callable[..., dict[str, Check]]


def test_what_certify_wrote_holds(out: Store) -> None:
    found = verify(out.url)

    assert [check for check in found.checks if check.status != "pass"] == []
    assert found.holds
    assert found.verdict == "Everything holds."


def test_what_was_compacted_holds(out: Store, failed: Checked) -> None:
    compact(out.url)

    assert failed() == {}


def test_verifying_writes_nothing(out: Store, names: Names, read: Read) -> None:
    before = {name: out.read(name) for name in out.names()}

    verify(out.url, num_again=3)

    assert {name: out.read(name) for name in out.names()} == before


def test_votes_moved_between_classes_change_certificates(
    names: Names, read: Read, change: Change, failed: Checked
) -> None:
    name = next(
        name for name in names() if read(name)[0]["stream"][0].as_py() == "estimate"
    )
    change(name, counts=[{"class": 9, "count": 10}], invalid=0)

    found = failed()

    assert list(found) == ["certificates"]
    assert "'digits_" in found["certificates"].found
    assert "counts" in found["certificates"].found


def test_a_deleted_vote_file_is_found(
    out: Store, names: Names, read: Read, failed: Checked
) -> None:
    name = names()[0]
    key = read(name)[0]["image_key"][0].as_py()
    out.remove(name)

    found = failed()

    assert "tiling" in found
    assert f"{key!r} at sigma 0.25 lacks" in found["tiling"].found
    assert found.keys() <= {"tiling", "certificates", "manifest"}


def test_an_edited_radius_is_found(change: Change, failed: Checked) -> None:
    change("certificates.parquet", radius=9.0)

    found = failed()

    assert list(found) == ["certificates"]
    assert "at sigma 0.25 has another radius" in found["certificates"].found


def test_certificates_of_images_nobody_asked_for_are_found(
    change: Change, failed: Checked
) -> None:
    change("certificates.parquet", image_key="digits_9999")

    assert "'digits_9999' at sigma 0.25 was not asked for" in (
        failed()["certificates"].found
    )


def test_another_image_list_is_found(change: Change, failed: Checked) -> None:
    change("images.parquet", sha256="0" * 64)

    assert list(failed()) == ["images"]


def test_another_recipe_is_found(out: Store, read: Read, failed: Checked) -> None:
    text = out.read("recipe.yaml").decode()
    out.write("recipe.yaml", text.replace("seed: 0", "seed: 1").encode())

    assert "seed: 0, now 1" in failed()["recipe"].found


@pytest.mark.parametrize(
    ("field", "value"), [("images_done", 2), ("images_asked_for", 4), ("claims", [])]
)
def test_a_manifest_that_says_otherwise_is_found(
    out: Store, field: str, value: Any, read: Read, failed: Checked
) -> None:
    manifest = json.loads(out.read("manifest.json"))
    manifest["runs"][0][field] = value
    out.write("manifest.json", json.dumps(manifest).encode())

    found = failed()

    assert list(found) == ["manifest"]
    assert field in found["manifest"].found


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("certificates.parquet", "certificates"),
        ("manifest.json", "manifest"),
        ("report/table.csv", "report"),
        ("images.parquet", "recount"),
    ],
)
def test_a_missing_file_is_told(
    out: Store, name: str, check: str, failed: Checked
) -> None:
    out.remove(name)

    assert list(failed()) == [check]


def test_an_edited_table_is_found(out: Store, failed: Checked) -> None:
    table = out.read("report/table.csv")
    out.write("report/table.csv", table.replace(b"0.25", b"0.26"))

    assert list(failed()) == ["report"]


def test_other_numbers_of_a_later_report_hold_too(out: Store, failed: Checked) -> None:
    rebuild([out.url], ["sampling.failure_probability=0.1"], None)

    assert failed() == {}


def test_another_name_of_a_later_report_holds_too(out: Store, failed: Checked) -> None:
    rebuild([out.url], ["about={method: Mine, extra_data: false}"], None)

    assert failed() == {}
    assert b"Mine" in out.read("report/table.csv")


def test_an_out_without_votes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"verify needs .* has no votes. Check"):
        verify(str(tmp_path))
