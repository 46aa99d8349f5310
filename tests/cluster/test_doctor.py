from pathlib import Path

import pytest

from pipelines.check import Check
from pipelines.doctor import doctor
from pipelines.plan import plan

pytestmark = pytest.mark.ray


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_untrained_networks_are_warned_of_and_nothing_is_left_in_out(
    ray_cluster: None, recipe_file: Path, tmp_path: Path
) -> None:
    found = by_name(doctor(str(recipe_file), ["sigma=[0.25]"], str(tmp_path / "out")))

    assert {name for name, check in found.items() if check.status == "fail"} == set()
    assert found["clean accuracy"].status == "warn"
    assert found["purifier at 0.25"].status == "warn"
    assert "votes/s per actor" in found["speed at 0.25"].found
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_what_is_wrong_with_the_places_is_told_all_at_once(
    ray_cluster: None, recipe_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = [
        "tracking.uri=somewhere/mlruns",
        "data.subset=first:99999",
        "classifier.weights={path: /no/such/w.pt}",
    ]
    checks = by_name(doctor(str(recipe_file), settings, str(tmp_path / "file" / "out")))

    failed = {name for name, check in checks.items() if check.status == "fail"}
    assert failed == {"storage", "tracking", "data", "weights"}
    assert all(checks[name].remedy for name in failed)
    assert checks["cluster"].status == "pass"


def test_images_that_the_networks_do_not_take_are_told_in_a_line(
    ray_cluster: None, recipe_file: Path, tmp_path: Path
) -> None:
    settings = ["sigma=[0.25]", "data.preprocess=resize_crop:7:7:box"]
    found = by_name(doctor(str(recipe_file), settings, str(tmp_path / "out")))

    assert found["networks at 0.25"].status == "fail"
    assert "(1, 7, 7)" in found["networks at 0.25"].found
    assert "data.preprocess" in found["networks at 0.25"].remedy
    assert found["storage"].status == "pass"


def test_a_plan_casts_its_pilot_where_votes_would_be_cast(
    ray_cluster: None, recipe_file: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")

    (cost,) = plan(str(recipe_file), ["sigma=[0.25]"], out, num_pilot=3)

    assert len(cost.pilot.failures) == 3
    assert cost.pilot.device == "cpu"
    assert (tmp_path / "out" / "pilot.json").is_file()
    assert not list((tmp_path / "out").glob("votes/*"))
