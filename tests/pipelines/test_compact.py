import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from votes_made import FACTS, IDENTITY, MORE, blocks_of_image, votes_that_count

from infra.object_store import Store, open_store
from infra.tables import from_bytes
from pipelines.compact import compact
from pipelines.ledger import (
    commit,
    merged_from,
    vote_files,
    vote_metadata,
)
from pipelines.ledger_index import LedgerIndex
from pipelines.merge import merged_name
from pipelines.vote_rows import read_all_votes, read_votes


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "out")


@pytest.fixture
def filled(store: Store) -> Store:
    """Return an OUT of 12 files of two blocks, three images long."""
    for image in "abc":
        for block in range(0, 8, 2):
            commit(store, blocks_of_image(block, block + 1, image=image), FACTS)
    return store


def num_differing(store: Store) -> int:
    index = LedgerIndex(store, 0.25)
    return index.num_differing + read_votes(store, index.files).num_differing


def read(store: Store, name: str) -> tuple[pa.Table, dict[str, str]]:
    return from_bytes(store.read(name), name)


def test_many_files_become_one_that_stands_for_them(filled: Store) -> None:
    before, files = votes_that_count(filled), vote_files(filled, 0.25)

    (done,) = compact(filled.url)

    (merged,) = vote_files(filled, 0.25)
    rows, facts = read(filled, merged)
    assert votes_that_count(filled) == before
    assert rows.to_pylist() == before
    assert merged == merged_name(files)
    assert merged_from(facts) == sorted(files)
    assert FACTS.items() <= facts.items()
    assert (done.files_before, done.files_after, done.num_blocks) == (12, 1, 24)
    assert done.bytes_after == len(filled.read(merged)) < done.bytes_before


def test_compacting_again_changes_nothing(filled: Store) -> None:
    compact(filled.url)
    before = vote_files(filled, 0.25)

    (done,) = compact(filled.url)

    assert vote_files(filled, 0.25) == before
    assert (done.files_before, done.files_after, done.bytes_after) == (1, 1, 0)


def test_files_of_one_image_come_to_lie_in_one_file(filled: Store) -> None:
    compact(filled.url, blocks_in_file=8)

    files = vote_files(filled, 0.25)
    images = [set(read(filled, name)[0]["image_key"].to_pylist()) for name in files]
    assert sorted(images, key=sorted) == [{"a"}, {"b"}, {"c"}]


def test_no_merged_file_is_much_larger_than_asked_for(filled: Store) -> None:
    compact(filled.url, blocks_in_file=5)

    sizes = [len(read(filled, name)[0]) for name in vote_files(filled, 0.25)]
    assert sizes == [6, 6, 6, 6]


def test_small_merged_files_are_merged_again_and_the_first_names_kept(
    filled: Store,
) -> None:
    before, first = votes_that_count(filled), vote_files(filled, 0.25)
    compact(filled.url)
    late = commit(filled, blocks_of_image(8, image="b"), FACTS)
    before += blocks_of_image(8, image="b").to_pylist()
    compact(filled.url)

    (merged,) = vote_files(filled, 0.25)
    again = merged_from(read(filled, merged)[1])
    assert again == sorted([*first, late, merged_name(first)])
    assert votes_that_count(filled) == sorted(
        before, key=lambda row: (row["image_key"], row["block"])
    )


def test_a_large_merged_file_is_left_as_it_is(filled: Store) -> None:
    compact(filled.url, blocks_in_file=24)
    (large,) = vote_files(filled, 0.25)
    late = commit(
        filled, blocks_of_image(8, image="A"), FACTS
    )  # the first of all images

    compact(filled.url, blocks_in_file=24)

    assert vote_files(filled, 0.25) == [large, late]


def test_every_recipe_that_cast_votes_is_still_told(filled: Store) -> None:
    for block in range(8, 12):
        commit(filled, blocks_of_image(block), MORE)
    before = read_all_votes(filled, 0.25)

    compact(filled.url)

    after = read_all_votes(filled, 0.25)
    assert len(vote_files(filled, 0.25)) == 2
    assert {json.dumps(f, sort_keys=True) for f in after.metadata} == {
        json.dumps(f, sort_keys=True) for f in before.metadata
    }
    assert LedgerIndex(filled, 0.25).num_blocks() == {"estimate": 28}


def test_votes_of_another_identity_are_not_mixed_in(filled: Store) -> None:
    others = vote_metadata({**IDENTITY, "seed": 1}, {}, "six")
    for block in range(8, 12):
        commit(filled, blocks_of_image(block), others)

    compact(filled.url)

    identities = [
        read(filled, name)[1]["vote_identity"] for name in vote_files(filled, 0.25)
    ]
    assert len(identities) == len(set(identities)) == 2


@pytest.mark.parametrize("blocks_in_file", [2, 7, 20, 10_000])
@pytest.mark.parametrize("seed", range(2))
def test_the_votes_that_count_are_the_same_whatever_is_merged_when(
    store: Store, seed: int, blocks_in_file: int
) -> None:
    generator = np.random.default_rng(seed)
    for _ in range(3):
        for _ in range(12):
            image = "abc"[generator.integers(3)]
            blocks = generator.choice(9, generator.integers(1, 4), replace=False)
            count = int(generator.integers(1, 10))
            commit(
                store,
                blocks_of_image(*map(int, blocks), image=image, count=count),
                FACTS,
            )
        before, differing = votes_that_count(store), num_differing(store)

        compact(store.url, blocks_in_file=blocks_in_file)

        assert votes_that_count(store) == before
        assert num_differing(store) == differing
        assert LedgerIndex(store, 0.25).num_blocks()["estimate"] == len(before)


def test_a_block_that_differs_between_merged_files_is_counted_once(
    store: Store,
) -> None:
    commit(store, blocks_of_image(0, 1), FACTS)
    commit(store, blocks_of_image(1, 2, count=5), FACTS)
    compact(store.url)
    commit(store, blocks_of_image(2, 3, count=7), FACTS)
    compact(store.url)
    compact(store.url)

    facts = read(store, vote_files(store, 0.25)[0])[1]
    assert facts["merged_differing"] == "2"


def test_a_late_writer_with_other_votes_is_told_before_its_file_goes(
    filled: Store, caplog: pytest.LogCaptureFixture
) -> None:
    before = votes_that_count(filled)
    compact(filled.url)
    late = commit(filled, blocks_of_image(0, 1, image="a", count=3), FACTS)

    compact(filled.url)

    assert f"2 blocks of {late} were voted again, otherwise" in caplog.text
    assert late not in vote_files(filled, 0.25)
    assert votes_that_count(filled) == before


def test_an_out_without_votes_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match=r"compact needs .* has no votes. Check"):
        compact(store.url)


def test_each_sigma_is_compacted(filled: Store) -> None:
    for block in range(3):
        votes = blocks_of_image(block)
        index = votes.schema.get_field_index("sigma")
        half = pa.array([0.5], pa.float64())
        commit(filled, votes.set_column(index, "sigma", half), FACTS)

    done = compact(filled.url)

    assert [(c.sigma, c.files_before, c.files_after) for c in done] == [
        (0.25, 12, 1),
        (0.5, 3, 1),
    ]
