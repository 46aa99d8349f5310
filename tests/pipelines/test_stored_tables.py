import json
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.object_store import Store, open_store
from pipelines.ledger import commit, vote_metadata
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import CHANCES, Reading, reading_of
from pipelines.recipe import Run
from pipelines.stored_tables import FACT, require_same_table, store_table

SEQUENTIAL = ("rule.kind=sequential", "sampling.num_estimate=2000")
Make = Callable[..., Reading]
Blocks = Callable[..., object]


@pytest.fixture
def make(run_of: Callable[..., Run]) -> Make:
    return lambda *settings: reading_of(run_of(*SEQUENTIAL, *settings), 100)


@pytest.fixture
def store(make: Make, vote_table: Callable[..., object], tmp_path: Path) -> Store:
    """Return an OUT with votes that were gathered with radii 0, .25 and .5."""
    out, reading = open_store(tmp_path), make("rule.radii=[0.25, 0.5]")
    store_table(out, reading)
    facts = vote_metadata({"sigma": 0.25}, {"sigma": 0.25}, "small")
    commit(out, vote_table(0, 1), {**facts, FACT: str(reading.table_sha256)})
    return out


def refusal(store: Store, reading: Reading) -> str:
    try:
        require_same_table(store, LedgerIndex(store, 0.25), reading)
    except ValueError as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(
    "settings",
    [
        ("rule.radii=[0.25, 0.5]",),
        ("rule.radii=[0.25]",),
        ("rule.radii=[0.5]",),
        ("rule.radii=[0.25, 0.5, 0.6, 0.65]",),
        ("rule.radii=[0.25, 0.5, 0.65]", "rule.near_cap=false"),
    ],
)
def test_fewer_radii_and_more_above_them_are_the_same_table(
    store: Store, make: Make, settings: tuple[str, ...]
) -> None:
    assert refusal(store, make(*settings)) == ""


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("rule.radii=[0.1, 0.25, 0.5]",), "radius 0.1 would be new, below others"),
        (
            ("sampling.num_estimate=2500",),
            "what sampling.num_estimate and rule.preset ask",
        ),
        (
            ("rule.preset=aggressive",),
            "what sampling.num_estimate and rule.preset ask",
        ),
        (("rule.preset=anytime",), "whether the preset is anytime would change"),
        (
            ("rule.family_wise=true",),
            "would change from 0.001 to 1e-05",
        ),
        (
            ("sampling.failure_probability=0.002",),
            "of an image would change from 0.001",
        ),
        (("rule.kind=fixed",), "the rule is now fixed"),
    ],
)
def test_another_table_is_refused(
    store: Store, make: Make, settings: tuple[str, ...], told: str
) -> None:
    assert told in refusal(store, make(*settings))


def test_an_e_process_goes_on_to_more_votes(
    make: Make, vote_table: Callable[..., object], tmp_path: Path
) -> None:
    out, anytime = open_store(tmp_path), "rule.preset=anytime"
    first = make(anytime)
    store_table(out, first)
    facts = vote_metadata({"sigma": 0.25}, {"sigma": 0.25}, "small")
    commit(out, vote_table(0, 1), {**facts, FACT: str(first.table_sha256)})

    assert refusal(out, make(anytime, "sampling.num_estimate=20000")) == ""
    assert "radius 0.1" in refusal(out, make(anytime, "rule.radii=[0.1, 0.25]"))


def test_votes_gathered_by_the_fixed_rule_may_be_read_by_any(
    make: Make, vote_table: Callable[..., object], tmp_path: Path
) -> None:
    out = open_store(tmp_path)
    facts = vote_metadata({"sigma": 0.25}, {"sigma": 0.25}, "small")
    commit(out, vote_table(0, 1), facts)

    assert refusal(out, make()) == refusal(out, make("rule.kind=fixed")) == ""


@pytest.mark.parametrize("what", ["gone", "changed"])
def test_a_table_that_is_gone_or_changed_is_asked_for(
    store: Store, make: Make, what: str
) -> None:
    (path,) = Path(store.url).glob("tables/*/*.json")
    table = json.loads(path.read_text())
    table["certify"][1][5] += 1
    path.unlink()
    if what == "changed":
        path.write_text(json.dumps(table))

    told = refusal(store, make("rule.radii=[0.25]"))

    assert "is not there, or was changed. Put a copy back" in told


def test_counts_of_another_version_are_not_mixed(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.stored_tables as tables

    real = tables._stored

    def other(*words: object) -> dict:
        table = json.loads(json.dumps(real(*words)))
        table["certify"][1] = [count + 1 for count in table["certify"][1]]
        return table

    monkeypatch.setattr(tables, "_stored", other)

    assert "other counts certify" in refusal(store, make("rule.radii=[0.25]"))


def test_the_hash_is_of_whole_numbers_and_what_was_asked_for(make: Make) -> None:
    facts = make().table_facts

    assert CHANCES not in facts
    for name in ("looks", "certify", "give_up"):
        assert "." not in json.dumps(facts[name])


def test_a_stored_table_tells_the_exact_chances_of_crossing(
    store: Store, make: Make
) -> None:
    (path,) = Path(store.url).glob("tables/*/*.json")
    table = make("rule.radii=[0.25, 0.5]").table

    assert table is not None
    told = json.loads(path.read_text())[CHANCES]
    assert told == pytest.approx(table.crossing_probability, rel=1e-3)
    assert all(0 < chance <= 0.9e-3 for chance in told)
