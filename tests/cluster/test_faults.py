"""Faults injected into real runs; those that take long are played by `make chaos`.

What is played, and how, stands in ``tests/chaos/scenarios.py``.
"""

from pathlib import Path

import pytest
import ray
from ground import RECIPE, Ground, Impossible, prepared
from outcomes import blocks, counted_twice
from scenarios import SCENARIOS

from infra.local_store import LocalStore

pytestmark = pytest.mark.ray

LONG = pytest.mark.skip(reason="takes long; `make chaos` plays it")


@pytest.fixture(scope="module")
def ground(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    address = ray.get_runtime_context().gcs_address
    return prepared(tmp_path_factory.mktemp("ground"), address)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if scenario.in_suite else LONG)
        for name, scenario in SCENARIOS.items()
    ],
)
def test_a_fault_changes_no_byte(ground: Ground, name: str) -> None:
    scenario = SCENARIOS[name]

    try:
        outcome = scenario.play(ground, scenario.plan)
    except Impossible as reason:
        pytest.skip(str(reason))

    assert outcome.left == ()
    assert scenario.kept_promises(outcome), outcome


def test_a_lost_vote_and_one_counted_twice_are_noticed(
    ground: Ground, tmp_path: Path
) -> None:
    case = ground.case("undisturbed")
    whole = blocks(case.store)
    name = case.vote_files[0]
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(case.store.read(name))
    asked = RECIPE["sampling"]["num_estimate"]

    lost = whole - blocks(LocalStore(tmp_path))
    doubled = counted_twice(ground.undisturbed, num_estimate=asked // 2, block=20)

    assert 0 < len(lost) < len(whole)
    assert doubled > 0
