import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from infra.object_store import Store, open_store
from pipelines import plan as plans
from pipelines.canonical import digest
from pipelines.identity import vote_identity
from pipelines.pilot import NAME, Pilot, cast_pilot, store_pilots, stored_pilots
from pipelines.plan import plan
from pipelines.recipe import Run
from pipelines.render_costs import cost_lines
from pipelines.sample import Sample, decoded_sample
from pipelines.worker import WorkerSettings

SETTINGS = ["sampling.num_select=100", "sampling.num_estimate=1000"]


def pilot_of(run: Run, failures: list[int]) -> Pilot:
    return Pilot(
        sigma=run.sigma,
        vote_identity_sha256=digest(vote_identity(run)),
        num_votes=2000,
        failures=tuple(failures),
        right=(True,) * len(failures),
        votes_per_second=100.0,
        bytes_per_block=50.0,
        device="cpu",
    )


@pytest.fixture
def store(run_of: Callable[..., Run], tmp_path: Path) -> Store:
    """Return an OUT with a pilot of three sure images and a hopeless one."""
    found = open_store(tmp_path / "out")
    store_pilots(found, {0.25: pilot_of(run_of(), [0, 0, 0, 1200])})
    return found


def test_a_plan_rests_on_the_pilot_that_out_holds(store: Store, written: str) -> None:
    (cost,) = plan(written, SETTINGS, store.url, num_pilot=0)

    assert cost.fixed_votes == 1101
    assert cost.num_images == 3
    assert cost.hours(360_000) == pytest.approx(3)
    assert cost.num_bytes(1000) == pytest.approx(3 * 100 * 50)
    assert [radius for radius, _ in cost.votes_by_radius] == [0, 0.25, 0.5]
    votes = [votes for _, votes in cost.votes_by_radius]
    assert votes == sorted(votes)
    assert 20 < votes[0] < 60
    assert votes[-1] < 500


def test_more_votes_are_expected_of_images_near_a_radius(
    run_of: Callable[..., Run], store: Store, written: str
) -> None:
    (easy,) = plan(written, SETTINGS, store.url, num_pilot=0)
    near = int(2000 * 0.158655)  # z = 1 is radius 0.25 at sigma 0.25
    store_pilots(store, {0.25: pilot_of(run_of(), [near] * 4)})

    (hard,) = plan(written, SETTINGS, store.url, num_pilot=0)

    assert hard.votes_by_radius[1][1] > 4 * easy.votes_by_radius[1][1]


def test_every_quantity_has_a_line_and_every_line_a_value_for_each_sigma(
    store: Store, written: str
) -> None:
    costs = plan(written, SETTINGS, store.url, num_pilot=0)

    lines = cost_lines([*costs, *costs])

    assert {len(line) for line in lines} == {3}
    told = {what: value for what, value, _ in lines}
    assert told["votes/image, fixed"] == "1,101"
    assert told["votes, fixed"] == "3,303"
    assert told["classifier, fixed"] == "9,909"  # three local noises
    assert told["purifier, fixed"] == ""
    assert told["purifier calls/copy"] == "0"
    assert told["classifier calls/copy"] == "3"
    assert told["z below 0"] == "1"


@pytest.mark.parametrize(
    ("purifier", "purifies", "classifies"),
    [
        ("{kind: edm, weights: {untrained: 0}}", 1, 3),
        ("{kind: pf_ode, weights: {untrained: 0}}", 13, 3),
        (
            "{kind: reverse_chain, weights: {untrained: 0}, steps: 4, samples: 5}",
            25,
            15,
        ),
    ],
)
def test_calls_of_each_copy_are_told_and_counted(  # noqa: PLR0913 - the columns of a table
    run_of: Callable[..., Run],
    store: Store,
    written: str,
    purifier: str,
    purifies: int,
    classifies: int,
) -> None:
    setting = f"purifier={purifier}"
    store_pilots(store, {0.25: pilot_of(run_of(setting), [0])})

    costs = plan(written, [*SETTINGS, setting], store.url, num_pilot=0)

    told = dict(cost_lines(costs))
    assert told["purifier calls/copy"] == str(purifies)
    assert told["classifier calls/copy"] == str(classifies)
    assert told["purifier, fixed"] == f"{3303 * purifies:,}"
    assert told["classifier, fixed"] == f"{3303 * classifies:,}"


@pytest.mark.parametrize(
    ("settings", "num_pilot", "told"),
    [
        (["seed=1"], 0, "cast by other networks or settings"),
        (["sigma=0.5"], 0, "needs a pilot at sigma 0.5"),
        ([], -1, "at least 0; --pilot has -1"),
    ],
)
def test_what_no_plan_can_rest_on_is_refused(
    store: Store, written: str, settings: list[str], num_pilot: int, told: str
) -> None:
    with pytest.raises(ValueError, match="plan needs") as refused:
        plan(written, [*SETTINGS, *settings], store.url, num_pilot=num_pilot)

    assert told in str(refused.value)


def test_a_cascade_is_planned_at_its_share_of_the_failure_probability(
    run_of: Callable[..., Run], store: Store, written: str
) -> None:
    pilots = {sigma: pilot_of(run_of(f"sigma={sigma}"), [0]) for sigma in (0.25, 0.5)}
    store_pilots(store, pilots)
    settings = [*SETTINGS, "sigma=[0.25,0.5]", "rule={kind: cascade}"]

    cost, _ = plan(written, settings, store.url, num_pilot=0)

    assert cost.fixed_votes == 1101
    assert cost.fixed_radius == pytest.approx(0.25 * norm.ppf(0.0005 ** (1 / 1000)))


def test_without_any_pilot_nothing_is_started(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans.cluster, "start", lambda *_: pytest.fail("started"))

    with pytest.raises(ValueError, match=r"has none\. Add --pilot 50"):
        plan(written, SETTINGS, str(tmp_path / "empty"), num_pilot=0)


@pytest.fixture
def sample(run_of: Callable[..., Run]) -> Sample:
    data = run_of().data
    entries = data.source.entries()[:3]
    return decoded_sample(data, entries, asked_by="plan")[0]


def test_a_pilot_counts_votes_of_its_own_noise(
    run_of: Callable[..., Run],
    settings_of: Callable[[Run], WorkerSettings],
    sample: Sample,
    store: Store,
) -> None:
    run = run_of()

    pilot = cast_pilot(run, sample, settings_of(run))

    assert pilot.num_votes == 2000
    assert len(pilot.failures) == len(pilot.right) == 3
    assert all(0 <= failures < 2000 for failures in pilot.failures)
    assert pilot.votes_per_second > 0
    assert sum(pilot.histogram().values()) == 3
    assert pilot == cast_pilot_again(run, sample, settings_of(run), pilot)
    store_pilots(store, {0.25: pilot})
    assert stored_pilots(store) == {0.25: pilot}
    assert "images_by_z" in json.loads(store.read(NAME))["0.25"]


def cast_pilot_again(
    run: Run, sample: Sample, settings: WorkerSettings, first: Pilot
) -> Pilot:
    again = cast_pilot(run, sample, settings)
    return Pilot(**{**vars(again), "votes_per_second": first.votes_per_second})


def test_rates_are_drawn_around_what_was_counted(run_of: Callable[..., Run]) -> None:
    pilot = pilot_of(run_of(), [20, 1000])

    drawn = pilot.drawn(np.random.default_rng(0), 500).reshape(2, 500)

    assert drawn.mean(axis=1) == pytest.approx([0.01, 0.5], rel=0.05)
    assert pilot.failure_rate == pytest.approx([20.5 / 2001, 1000.5 / 2001])
