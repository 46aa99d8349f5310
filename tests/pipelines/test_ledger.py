from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from infra.object_store import Store, open_store
from infra.tables import from_bytes, to_bytes
from pipelines.canonical import Identity
from pipelines.ledger import (
    MERGED,
    VOTES,
    commit,
    first_name,
    folder,
    is_merged,
    merged_from,
    name_of,
    require_identity,
    stored_sigmas,
    vote_files,
    vote_metadata,
)
from pipelines.vote_rows import read_all_votes

Table = Callable[..., pa.Table]

IDENTITY: Identity = {"sigma": 0.25, "seed": 0, "classifier": {"num_classes": 10}}
FACTS = vote_metadata(IDENTITY, {"sigma": 0.25}, "six")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def test_a_commit_is_read_back_as_it_was(store: Store, vote_table: Table) -> None:
    failed = vote_table(1, failure="broken", counts=[], invalid=10)
    votes = pa.concat_tables([vote_table(0), failed])

    name = commit(store, votes, FACTS)

    stored, facts = from_bytes(store.read(name), name)
    assert stored.to_pylist() == votes.to_pylist()
    assert stored.schema.equals(VOTES)
    assert facts["vote_identity"] == FACTS["vote_identity"]
    assert name == name_of(votes, FACTS)


def test_the_same_keys_twice_change_nothing(store: Store, vote_table: Table) -> None:
    name = commit(store, vote_table(0, 1), FACTS)
    before = store.read(name)

    # Repeated by Ray: other rows order, other time.
    assert commit(store, vote_table(1, 0, seconds=9.0), FACTS) == name

    assert store.read(name) == before
    assert store.names() == [name]


OTHERWISE = [
    {"counts": [{"class": 3, "count": 3}], "invalid": 7},
    {"counts": [{"class": 5, "count": 8}]},
]
"""Fewer votes, and as many for another class."""


@pytest.mark.parametrize("otherwise", OTHERWISE)
def test_the_same_keys_with_other_votes_are_kept_beside_the_first_and_do_not_count(
    store: Store, vote_table: Table, otherwise: dict
) -> None:
    name = commit(store, vote_table(0, 1), FACTS)
    votes = read_all_votes(store, 0.25).rows.select(VOTES.names).to_pylist()

    for _ in range(2):  # told again, it is the same file
        other = pa.concat_tables([vote_table(0, **otherwise), vote_table(1)])
        assert commit(store, other, FACTS) == name

    beside = next(one for one in store.names() if one != name)
    found = read_all_votes(store, 0.25)
    assert vote_files(store, 0.25) == [name, beside]
    assert first_name(beside) == first_name(name) == name
    assert found.rows.select(VOTES.names).to_pylist() == votes
    assert found.num_differing == 1


def test_the_order_of_rows_changes_no_byte_of_a_file(
    tmp_path: Path, vote_table: Table
) -> None:
    one, other = open_store(tmp_path / "1"), open_store(tmp_path / "2")
    name = commit(one, vote_table(0, 1, 2), FACTS)

    assert commit(other, vote_table(2, 0, 1), FACTS) == name
    assert other.read(name) == one.read(name)


def test_other_keys_or_another_identity_get_another_name(
    store: Store, vote_table: Table
) -> None:
    others = vote_metadata({**IDENTITY, "seed": 1}, {}, "six")

    names = {
        commit(store, vote_table(0), FACTS),
        commit(store, vote_table(1), FACTS),
        commit(store, vote_table(0), others),
        commit(store, vote_table(0, image="b"), FACTS),
        commit(store, vote_table(0, stream="select"), FACTS),
    }

    assert len(names) == 5


@pytest.mark.parametrize(("sigma", "longer"), [(0.25, 0.255), (1.0, 1.5), (0.1, 0.12)])
def test_a_sigma_whose_digits_go_on_is_another(
    store: Store, vote_table: Table, sigma: float, longer: float
) -> None:
    commit(store, vote_table(0, sigma=longer), FACTS)

    assert vote_files(store, sigma) == []
    assert len(vote_files(store, longer)) == 1
    assert stored_sigmas(store) == [longer]


def test_the_sigmas_of_an_out_are_found_by_their_folders(
    store: Store, vote_table: Table
) -> None:
    for sigma in (0.5, 1e-05, 1.0):
        commit(store, vote_table(0, 1, sigma=sigma), FACTS)
        commit(store, vote_table(2, sigma=sigma), FACTS)
    store.write("votes/sigma_mine/notes.parquet", b"")
    store.write("votes/notes.parquet", b"")
    store.write("votes/sigma_2/notes.txt", b"")

    assert stored_sigmas(store) == [1e-05, 0.5, 1.0]


def test_merged_files_count_before_others_and_each_kind_by_name(store: Store) -> None:
    names = [f"{folder(0.25)}/{n}.parquet" for n in ("f", f"{MERGED}b", "a", "n0")]
    names.append(f"{folder(0.25)}/{MERGED}a.parquet")
    for name in names:
        store.write(name, b"")

    found = [name.rpartition("/")[2] for name in vote_files(store, 0.25)]

    assert found == [f"{MERGED}{rest}.parquet" for rest in "ab"] + [
        "a.parquet",
        "f.parquet",
        "n0.parquet",
    ]
    assert [is_merged(name) for name in names] == [False, True, False, False, True]
    assert merged_from({}) == []


def test_half_written_and_foreign_files_are_no_votes(store: Store) -> None:
    store.write(f"{folder(0.25)}/.x.parquet.1.tmp", b"half")
    store.write(f"{folder(0.25)}/notes.txt", b"text")

    assert vote_files(store, 0.25) == []


def test_another_identity_is_refused_with_every_field_that_differs() -> None:
    wanted = {"sigma": 0.5, "seed": 0, "classifier": {"num_classes": 11}}

    with pytest.raises(ValueError, match="another") as refused:
        require_identity([FACTS], wanted, "OUT")

    assert "classifier.num_classes: 10, now 11; sigma: 0.25, now 0.5" in str(
        refused.value
    )
    assert "seed" not in str(refused.value)


def test_one_file_of_another_identity_among_many_is_refused(
    store: Store, vote_table: Table
) -> None:
    for block in range(4):
        commit(store, vote_table(block), FACTS)
    commit(store, vote_table(9), vote_metadata({**IDENTITY, "seed": 5}, {}, "six"))

    with pytest.raises(ValueError, match="seed: 5, now 0"):
        require_identity(read_all_votes(store, 0.25).metadata, IDENTITY, "OUT")


def test_a_file_of_another_schema_version_is_refused(vote_table: Table) -> None:
    data = to_bytes(vote_table(0), {"schema_version": "0"})

    with pytest.raises(ValueError, match="schema version 1; votes has '0'"):
        from_bytes(data, "votes")
