from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from infra.object_store import Store, open_store
from infra.tables import from_bytes, to_bytes
from pipelines.identity import Identity, vote_identity
from pipelines.ledger import (
    VOTES,
    commit,
    folder,
    num_votes,
    read_ledger,
    require_identity,
    require_same_images,
    vote_metadata,
)
from pipelines.recipe import Run

IDENTITY: Identity = {"sigma": 0.25, "seed": 0, "classifier": {"num_classes": 10}}
FACTS = vote_metadata(IDENTITY, {"sigma": 0.25}, "six")


def row(block: int, count: int = 8, **changed: Any) -> dict[str, Any]:
    fields = {
        "sigma": 0.25,
        "image_key": "a",
        "label": 3,
        "stream": "estimate",
        "block": block,
        "counts": [{"class": 3, "count": count}],
        "invalid": 10 - count,
        "seconds": 0.5,
        "image_sha256": "aa",
        "failure": None,
        "conditions": "{}",
    }
    return fields | changed


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), VOTES)


def blocks_and_counts(store: Store) -> list[tuple[int, int]]:
    votes = read_ledger(store, 0.25).votes.sort_by("block").to_pylist()
    return [(vote["block"], vote["counts"][0]["count"]) for vote in votes]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def test_a_commit_is_read_back_as_it_was(store: Store) -> None:
    votes = table(row(0), row(1, failure="broken", counts=[], invalid=10))

    name = commit(store, votes, FACTS)

    ledger = read_ledger(store, 0.25)
    assert ledger.votes.select(VOTES.names).to_pylist() == votes.to_pylist()
    assert ledger.votes["file"].to_pylist() == [name, name]
    assert ledger.done() == {("a", "estimate", 0), ("a", "estimate", 1)}
    assert ledger.metadata[0]["vote_identity"] == FACTS["vote_identity"]
    assert ledger.metadata[0]["vote_identity"] == FACTS["vote_identity"]


def test_the_same_keys_twice_change_nothing(store: Store) -> None:
    name = commit(store, table(row(0), row(1)), FACTS)
    before = store.read(name)

    # Repeated by Ray: other rows order, other time, even other votes.
    assert commit(store, table(row(1, 3), row(0, seconds=9.0)), FACTS) == name

    assert store.read(name) == before
    assert store.names() == [name]


def test_the_order_of_rows_changes_no_byte_of_a_file(tmp_path: Path) -> None:
    one, other = open_store(tmp_path / "1"), open_store(tmp_path / "2")
    name = commit(one, table(row(0), row(1), row(2)), FACTS)

    assert commit(other, table(row(2), row(0), row(1)), FACTS) == name
    assert other.read(name) == one.read(name)


def test_other_keys_or_another_identity_get_another_name(store: Store) -> None:
    others = vote_metadata({**IDENTITY, "seed": 1}, {}, "six")

    names = {
        commit(store, table(row(0)), FACTS),
        commit(store, table(row(1)), FACTS),
        commit(store, table(row(0)), others),
        commit(store, table(row(0, image_key="b")), FACTS),
        commit(store, table(row(0, stream="select")), FACTS),
    }

    assert len(names) == 5


def test_a_block_found_twice_counts_once(store: Store) -> None:
    commit(store, table(row(0), row(1)), FACTS)
    commit(store, table(row(1), row(2)), FACTS)

    ledger = read_ledger(store, 0.25)

    assert blocks_and_counts(store) == [(0, 8), (1, 8), (2, 8)]
    assert (ledger.num_differing, num_votes(ledger.votes)) == (0, 30)


@pytest.mark.parametrize("counts", [(8, 3), (3, 8)])
def test_of_differing_duplicates_the_smallest_file_name_wins(
    store: Store, counts: tuple[int, int]
) -> None:
    written = {
        commit(store, table(row(0, counts[0]), row(1)), FACTS): counts[0],
        commit(store, table(row(0, counts[1]), row(2)), FACTS): counts[1],
    }

    ledger = read_ledger(store, 0.25)

    assert blocks_and_counts(store)[0] == (0, written[min(written)])
    assert ledger.num_differing == 1


def test_time_and_conditions_make_no_duplicate_differ(store: Store) -> None:
    commit(store, table(row(0), row(1)), FACTS)
    commit(store, table(row(0, seconds=7.0, conditions='{"batch": 1}')), FACTS)

    assert read_ledger(store, 0.25).num_differing == 0


@pytest.mark.parametrize(("sigma", "longer"), [(0.25, 0.255), (1.0, 1.5), (0.1, 0.12)])
def test_a_sigma_whose_digits_go_on_is_another(
    store: Store, sigma: float, longer: float
) -> None:
    commit(store, table(row(0, sigma=longer)), FACTS)

    assert read_ledger(store, sigma).done() == set()
    assert len(read_ledger(store, longer).done()) == 1


def test_an_empty_out_has_no_votes(store: Store) -> None:
    ledger = read_ledger(store, 0.25)

    assert (ledger.done(), ledger.metadata, num_votes(ledger.votes)) == (set(), (), 0)


def test_votes_of_half_runs_add_up(
    run_of: Callable[..., Run], cast: Callable[..., Any], tmp_path: Path
) -> None:
    run = run_of()
    whole, halves = open_store(tmp_path / "1"), open_store(tmp_path / "2")
    cast(run, tmp_path / "1")

    cast(run, tmp_path / "2", {"select": 1})
    cast(run_of("stages.unit_votes=10"), tmp_path / "2", {"select": 1, "estimate": 1})
    cast(run_of("batch=5"), tmp_path / "2")

    assert _votes(halves) == _votes(whole)
    assert num_votes(read_ledger(halves, 0.25).votes, "estimate") == 3 * 20
    require_identity(read_ledger(halves, 0.25), vote_identity(run), "OUT")


def _votes(store: Store) -> Sequence[dict[str, Any]]:
    names = ["image_key", "stream", "block", "counts", "invalid", "image_sha256"]
    votes = read_ledger(store, 0.25).votes
    return (
        votes.select(names).sort_by([(n, "ascending") for n in names[:3]]).to_pylist()
    )


def test_another_identity_is_refused_with_every_field_that_differs(
    store: Store,
) -> None:
    commit(store, table(row(0)), FACTS)
    wanted = {"sigma": 0.5, "seed": 0, "classifier": {"num_classes": 11}}

    with pytest.raises(ValueError, match="another") as refused:
        require_identity(read_ledger(store, 0.25), wanted, "OUT")

    assert "classifier.num_classes: 10, now 11; sigma: 0.25, now 0.5" in str(
        refused.value
    )
    assert "seed" not in str(refused.value)


def test_one_file_of_another_identity_among_many_is_refused(store: Store) -> None:
    for block in range(4):
        commit(store, table(row(block)), FACTS)
    commit(store, table(row(9)), vote_metadata({**IDENTITY, "seed": 5}, {}, "six"))

    with pytest.raises(ValueError, match="seed: 5, now 0"):
        require_identity(read_ledger(store, 0.25), IDENTITY, "OUT")


def test_an_image_whose_content_changed_is_refused(store: Store) -> None:
    commit(store, table(row(0), row(0, image_key="b", image_sha256="bb")), FACTS)
    ledger = read_ledger(store, 0.25)

    require_same_images(ledger, {"a": "aa", "b": "bb", "c": "cc"}, "OUT")
    require_same_images(ledger, {"a": "aa"}, "OUT")
    with pytest.raises(ValueError, match="'b' with sha256 bb, now it is other"):
        require_same_images(ledger, {"a": "aa", "b": "other"}, "OUT")


def test_a_torn_file_is_refused_by_name(store: Store) -> None:
    name = commit(store, table(row(0)), FACTS)
    store.write(name, store.read(name)[:-20])

    with pytest.raises(ValueError, match=name) as refused:
        read_ledger(store, 0.25)
    assert "Delete that file and run again" in str(refused.value)


def test_half_written_and_foreign_files_are_no_votes(store: Store) -> None:
    store.write(f"{folder(0.25)}/.x.parquet.1.tmp", b"half")
    store.write(f"{folder(0.25)}/notes.txt", b"text")

    assert read_ledger(store, 0.25).done() == set()


def test_a_file_of_another_schema_version_is_refused() -> None:
    data = to_bytes(table(row(0)), {"schema_version": "0"})

    with pytest.raises(ValueError, match="schema version 1; votes has '0'"):
        from_bytes(data, "votes")
