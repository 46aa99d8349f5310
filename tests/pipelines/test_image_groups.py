from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from infra.object_store import Store, open_store
from pipelines.compact import compact
from pipelines.image_groups import image_groups
from pipelines.ledger import commit, precedence, vote_metadata
from pipelines.ledger_index import LedgerIndex

Table = Callable[..., pa.Table]

FACTS = vote_metadata({}, {}, "six")


@pytest.fixture
def store(tmp_path: Path, vote_table: Table) -> Store:
    """Return an OUT of 40 images in 20 files of two neighbours each."""
    store = open_store(tmp_path)
    for first in range(0, 40, 2):
        pair = [vote_table(0, image=f"i{first + i:02d}") for i in range(2)]
        commit(store, pa.concat_tables(pair), FACTS)
    return store


@pytest.mark.parametrize("size", [1, 3, 7, 39, 40, 500])
def test_every_image_is_in_one_group_with_its_label_and_files(
    store: Store, size: int
) -> None:
    index = LedgerIndex(store, 0.25)
    labels = {f"i{image:02d}": image % 7 for image in range(45)}

    groups = list(image_groups(index, labels, size))

    assert sorted(key for group in groups for key in group.keys) == sorted(labels)
    assert {k: v for g in groups for k, v in g.label_of.items()} == labels
    sizes = [len(group.keys) for group in groups]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    for group in groups:
        held = {name for own in index.files_of(group.keys) for name in own}
        assert group.files == tuple(sorted(held, key=precedence))


def test_a_group_lies_in_few_files(store: Store) -> None:
    labels = {f"i{image:02d}": 0 for image in range(40)}

    groups = list(image_groups(LedgerIndex(store, 0.25), labels, 10))

    assert [len(group.files) for group in groups] == [5, 5, 5, 5]


def test_images_of_a_merged_file_come_in_the_order_of_its_rows(
    store: Store, vote_table: Table
) -> None:
    compact(store.url)
    commit(store, vote_table(1, image="i05"), FACTS)
    labels = {f"i{image:02d}": 0 for image in range(39, -1, -1)}

    groups = list(image_groups(LedgerIndex(store, 0.25), labels, 10))

    assert [key for group in groups for key in group.keys] == sorted(labels)
    assert [len(group.files) for group in groups] == [2, 1, 1, 1]


def test_images_without_votes_have_no_files(tmp_path: Path) -> None:
    index = LedgerIndex(open_store(tmp_path), 0.25)

    (group,) = image_groups(index, {"b": 1, "a": 0})

    assert (group.keys, group.labels, group.files) == (("a", "b"), (0, 1), ())
