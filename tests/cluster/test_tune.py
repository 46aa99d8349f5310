"""Studies on a cluster: one pass for many settings, broken off and gone on with."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from processes import started_by

from pipelines.certify import certify
from tune.tune_study import Tuned

pytestmark = pytest.mark.ray

Study = Callable[..., Tuned]


@pytest.fixture(scope="module")
def whole(study: Study) -> Tuned:
    return study("whole_grid", confirmed=True)


def trial_file(out: Path, name: str) -> Path:
    (found,) = out.glob(f"studies/*/trials/{name}")
    return found


def traces(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("traces/**/*.parquet")}


def test_every_trial_has_the_certificates_of_a_run_of_its_own(
    whole: Tuned, study_file: Path, runs: Path, tmp_path: Path
) -> None:
    assert [one.status for one in whole.trials] == ["finished"] * 5
    for number in (4,):
        setting = whole.trials[number].setting
        raw = yaml.safe_load(study_file.read_text())
        del raw["study"]
        path = tmp_path / f"alone_{number}.yaml"
        path.write_text(yaml.safe_dump(raw))
        certify(
            str(path),
            [
                f"sigma={setting.sigma}",
                f"local.sigma={setting.local_sigma}",
                f"local.num={setting.num_local}",
                f"sampling.num_estimate={setting.num_estimate}",
            ],
            str(tmp_path / str(number)),
        )
        alone = pq.read_table(tmp_path / str(number) / "certificates.parquet")
        traced = pq.read_table(trial_file(runs / "whole_grid", f"{number:05}.parquet"))
        assert traced.sort_by("image_key").equals(alone.sort_by("image_key"))


def test_a_study_that_is_whole_casts_and_tries_nothing_again(
    whole: Tuned, study: Study, runs: Path
) -> None:
    out = runs / "whole_grid"
    before, report = traces(out), (out / "report/trials.csv").read_bytes()

    again = study("whole_grid")

    assert traces(out) == before
    assert (out / "report/trials.csv").read_bytes() == report
    assert [one.score for one in again.trials] == [one.score for one in whole.trials]


def test_a_further_setting_of_what_is_traced_costs_nothing(
    whole: Tuned, study: Study, runs: Path
) -> None:
    out = Path(shutil.copytree(runs / "whole_grid", runs / "further"))
    before = traces(out)

    more = study(
        "further",
        "study.space={local.sigma: [0.12], local.num: [1, 2]}",
        "study.budget.like={num_estimate: 60, num_local: 3}",
    )

    assert traces(out) == before
    told = [(one.setting.num_local, one.setting.num_estimate) for one in more.trials]
    assert told == [(1, 180), (1, 180), (2, 80)]


def test_the_winner_is_confirmed_on_images_held_out(whole: Tuned, runs: Path) -> None:
    assert whole.winner is not None
    (curve,) = whole.confirmed
    assert curve.num_images == 4
    assert (curve.sigma, curve.num_estimate) == (
        whole.winner.setting.sigma,
        whole.winner.setting.num_estimate,
    )
    confirmed = json.loads((runs / "whole_grid/confirmed.json").read_text())
    assert confirmed["trial"] == whole.winner.number


def test_mlflow_has_a_parent_for_the_study_and_a_child_for_each_trial(
    whole: Tuned, runs: Path
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("diffsmooth small_study")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    out = str(runs / "whole_grid")
    found = [one for one in found if one.data.tags["diffsmooth.out"] == out]
    parents = [one for one in found if "mlflow.parentRunId" not in one.data.tags]
    children = [one for one in found if "mlflow.parentRunId" in one.data.tags]

    assert [one.info.run_name for one in parents] == ["study small_study"]
    named = {one.data.params["trial"]: one for one in children}
    assert len(named) == 5
    trial, logged = whole.trials[2], named["2"]
    assert trial.score is not None
    assert logged.info.run_name == trial.setting.name
    assert logged.data.metrics["objective"] == trial.score.value
    assert logged.data.metrics["cost"] == trial.cost
    assert logged.data.params["local.num"] == str(trial.setting.num_local)


def test_trials_that_do_badly_are_left_off_and_leave_no_actor_behind(
    study: Study, ray_cluster: None
) -> None:
    tuned = study(
        "halved",
        "study.halving={first: 4, factor: 2}",
        "study.space={local.sigma: [0.12, 0.4], local.num: [1, 3, 5]}",
        "classifier.weights={untrained: 9}",  # says 0 to most, as the fourth image is
    )

    images = {one.status: set[int]() for one in tuned.trials}
    for one in tuned.trials:
        assert one.curve is not None
        images[one.status].add(one.curve.num_images)
    assert images["finished"] == {8}
    assert images["stopped"] == {4}
    assert not workers_that_live()


def workers_that_live() -> list[str]:
    """Return the workers of a study that live some seconds after it."""
    end, found = time.monotonic() + 20, ["?"]
    ours = ("ray::Caster", "ray::MapWorker", "ray::UnitTracker", "ray::ImplicitFunc")
    while found and time.monotonic() < end:
        commands = started_by(os.getpid()).values()
        found = [one for one in commands if one.startswith(ours)]
        time.sleep(0.5)
    return found
