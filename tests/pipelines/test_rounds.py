from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from rounds_played import Chances, Played

from infra.object_store import Store
from pipelines.reading import Reading, reading_of
from pipelines.recipe import Run
from pipelines.unit_tracker import UnitTracker
from pipelines.vote_rows import Votes, read_votes

Play = Callable[..., Played]

NUM_CLASSES = 10


def chances_of(num_images: int) -> Chances:
    """Return chances of images from sure to hopeless."""
    found = {}
    for number in range(num_images):
        right = 1 - 0.6 * number / num_images
        chances = np.full(NUM_CLASSES + 1, (1 - right) / NUM_CLASSES)
        chances[number % NUM_CLASSES] = right
        found[f"image_{number:02d}"] = chances / chances.sum()
    return found


@pytest.fixture
def reading(run_of: Callable[..., Run]) -> Reading:
    sequential = ("rule.kind=sequential", "sampling.num_estimate=300")
    return reading_of(run_of(*sequential, "sampling.num_select=10"), 12)


@pytest.fixture
def played(reading: Reading, tmp_path: Path) -> Play:
    def play(name: str, **changed: object) -> Played:
        fields = {"reading": reading, "chances": chances_of(12)} | changed
        return Played(out=tmp_path / name, **fields)

    return play


def asked_of(one: Played) -> Counter:
    return Counter(
        (job.entry.key, job.stream, block)
        for unit in one.asked
        for job in unit.jobs
        for block in job.blocks
    )


def test_rounds_end_when_every_image_has_stopped(played: Play) -> None:
    one = played("whole")

    one.play()

    found = one.certificates()
    assert set(found["reason"].to_pylist()) == {"certified", "abstained"}
    assert set(found["stopped"].to_pylist()) >= {"all radii", "gave up"}
    assert found["clean_class"].null_count == 0
    assert max(asked_of(one).values()) == 1


def test_few_votes_are_cast_past_the_stop(played: Play) -> None:
    one = played("few", num_actors=1)

    one.play()

    read = sum(one.certificates()["num_draws"].to_pylist())
    cast = 10 * sum(key[1] == "estimate" for key in asked_of(one))
    assert read <= cast < 1.05 * read


@pytest.mark.parametrize("seed", [1, 2])
def test_certificates_do_not_depend_on_who_is_first(played: Play, seed: int) -> None:
    in_order, shuffled = played("in_order"), played(f"shuffled_{seed}")
    rng = np.random.default_rng(seed)
    shuffled.pick = lambda waiting: waiting.pop(int(rng.integers(len(waiting))))

    in_order.play()
    shuffled.play()

    assert in_order.certificates().equals(shuffled.certificates())
    assert [u.name for u in in_order.asked] == [u.name for u in shuffled.asked]


def test_a_plan_made_again_asks_for_the_same_units_in_the_same_order(
    played: Play,
) -> None:
    one = played("again")
    rounds = one.rounds()  # before there is any vote
    one.play()
    units = [unit.name for unit in one.asked]
    one.asked, one.rounds = [], lambda: rounds

    one.play()

    assert [unit.name for unit in one.asked] == units


@pytest.mark.parametrize("most", [1, 5, 17])
def test_a_run_that_stopped_goes_on_to_the_same_certificates(
    played: Play, most: int
) -> None:
    whole, broken = played("whole"), played("broken")
    whole.play()
    broken.play(most)
    held = {(r["image_key"], r["stream"], r["block"]) for r in rows_of(broken)}
    later = played("broken")

    later.play()

    assert later.certificates().equals(whole.certificates())
    assert not held & set(asked_of(later))


def test_blocks_behind_a_gap_are_not_asked_for_again(played: Play) -> None:
    whole = played("whole")
    whole.play()
    broken = played("broken", num_actors=30, unit_votes=10)
    rng = np.random.default_rng(0)
    broken.pick = lambda waiting: waiting.pop(int(rng.integers(len(waiting))))
    broken.play(90)
    for _ in range(45):
        broken.vote()
    held = {
        (r["image_key"], r["stream"], r["block"]) for r in broken.votes().to_pylist()
    }
    later = played("broken")

    later.play()

    present = {(key, block) for key, stream, block in held if stream == "estimate"}
    assert any(b > 0 and (key, b - 1) not in present for key, b in present)  # a gap
    assert not held & set(asked_of(later))
    assert later.certificates().equals(whole.certificates())


def rows_of(one: Played) -> list[dict]:
    while one.waiting:
        one.vote()
    return one.votes().to_pylist()


def test_an_execution_ends_after_its_units_and_the_next_goes_on(played: Play) -> None:
    whole, parts = played("whole"), played("parts", most_units=25)
    whole.play()

    executions = 0
    while executions == 0 or "incomplete" in parts.certificates()["reason"].to_pylist():
        parts.play()
        executions += 1

    assert executions > 2
    assert parts.certificates().equals(whole.certificates())


def test_radii_near_the_cap_come_last(run_of: Callable[..., Run], played: Play) -> None:
    settings = ("rule.kind=sequential", "sampling.num_estimate=1500")
    run = run_of(*settings, "sampling.num_select=10", "rule.radii=[0.25, 0.5, 0.65]")
    easy = dict(list(chances_of(12).items())[:3])
    one = played("near", reading=reading_of(run, 3), chances=easy)
    rule = run.rule.model_copy(update={"near_cap": False})
    few = run.model_copy(update={"rule": rule})

    one.play()

    asked = asked_of(one)
    far = played("far", reading=reading_of(few, 3), chances=easy)
    far.play()
    assert set(asked_of(far)) < set(asked)
    first = [unit.name for unit in one.asked][: len(far.asked)]
    assert first == [unit.name for unit in far.asked]


def test_the_tracker_hears_who_has_stopped(played: Play) -> None:
    one = played("heard")

    one.play()

    stopped, certified, blocks = one.tracker.progress()
    right = [r for r in one.certificates().to_pylist() if not r["abstained"]]
    assert (stopped, certified) == (12, len(right))
    assert blocks == len(asked_of(one))


def test_a_tracker_that_forgot_everything_holds_nobody_up(
    played: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.rounds._LISTED_AFTER_SECONDS", 0.5)
    whole, forgetful = played("whole"), played("forgetful")
    whole.play()
    read, votes = [], forgetful.vote

    def vote() -> None:
        votes()
        read.append(1)
        if len(read) == 40:
            forgetful.tracker = UnitTracker(3, 10**9)

    forgetful.vote = vote
    forgetful.play()

    assert len(read) > 60
    assert forgetful.certificates().equals(whole.certificates())


def test_files_that_nobody_told_of_are_listed_and_read_once(
    played: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.rounds._LISTED_AFTER_SECONDS", 0.0)
    read, real = [], read_votes

    def noted(store: Store, names: Sequence[str], *more: object) -> Votes:
        read.extend(names)
        return real(store, names, *more)

    monkeypatch.setattr("pipelines.rounds.read_votes", noted)
    one = played("untold")
    one.tracker = Silent(3, 10**9)

    one.play()

    assert "incomplete" not in one.certificates()["reason"].to_pylist()
    assert len(read) == len(set(read)) > 40


class Silent(UnitTracker):
    """Tells of no file that was committed."""

    def committed_since(self, known: int) -> tuple[list[str], int]:
        return [], 0
