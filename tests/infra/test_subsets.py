import csv
import os
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from infra.sources.entry import Entry
from infra.subsets import require_subset, select, subset_digest

ENTRIES = [Entry(f"image_{index}", index, index) for index in range(10)]
SUBSETS = ["full", "first:3", "stride:4", "random:7:0", "stratified:7:0", "cohen500"]


def data_set(*sizes: int) -> list[Entry]:
    """Return entries whose classes have these numbers of images, class after class."""
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    return [Entry(f"k{index:06d}", label, index) for index, label in enumerate(labels)]


def shuffled(entries: list[Entry], seed: int = 1) -> list[Entry]:
    return random.Random(seed).sample(entries, len(entries))


def keys(entries: list[Entry]) -> set[str]:
    return {entry.key for entry in entries}


def imagenet() -> list[Entry]:
    """Return 50,000 entries of 1,000 classes in the order of their class folders."""
    return data_set(*[50] * 1000)


def test_full_keeps_every_image_in_order() -> None:
    assert select(ENTRIES, "full") == ENTRIES


def test_first_keeps_the_beginning() -> None:
    assert select(ENTRIES, "first:3") == ENTRIES[:3]
    assert select(ENTRIES, "first:10") == ENTRIES


def test_stride_keeps_positions_zero_k_and_2k() -> None:
    labels = [entry.label for entry in select(ENTRIES, "stride:4")]
    assert labels == [0, 4, 8]
    assert len(select(ENTRIES, "stride:100")) == 1


@pytest.mark.parametrize("subset", SUBSETS)
def test_the_data_sets_order_is_kept_and_no_image_comes_twice(subset: str) -> None:
    entries = data_set(*[5] * 100)
    places = [entry.where for entry in select(entries, subset)]
    assert places == sorted(set(places))


@pytest.mark.parametrize("subset", ["random:40:3", "stratified:40:3"])
def test_chance_chooses_the_same_images_in_any_order_of_the_data_set(
    subset: str,
) -> None:
    entries = data_set(30, 20, 50)
    mixed = shuffled(entries)
    assert keys(select(mixed, subset)) == keys(select(entries, subset))
    assert [e for e in mixed if e in select(mixed, subset)] == select(mixed, subset)


@pytest.mark.parametrize("kind", ["random", "stratified"])
def test_a_smaller_choice_is_part_of_a_larger_one(kind: str) -> None:
    entries = data_set(30, 20, 50)
    parts = [keys(select(entries, f"{kind}:{n}:5")) for n in range(1, 101)]
    assert [len(part) for part in parts] == list(range(1, 101))
    assert all(part < larger for part, larger in pairwise(parts))


@pytest.mark.parametrize("kind", ["random", "stratified"])
def test_another_seed_chooses_other_images(kind: str) -> None:
    entries = data_set(*[100] * 10)
    one, other = (keys(select(entries, f"{kind}:100:{seed}")) for seed in (0, 1))
    # Two choices of 100 from 1,000 share 10 on average, with a variance below 9.
    assert len(one & other) < 10 + 5 * 3


def test_random_choice_gives_every_image_the_same_chance() -> None:
    entries, num_seeds = data_set(50), 2000
    times = Counter(
        entry.where
        for seed in range(num_seeds)
        for entry in select(entries, f"random:10:{seed}")
    )
    expected, std = 0.2 * num_seeds, (num_seeds * 0.2 * 0.8) ** 0.5
    assert all(abs(times[place] - expected) < 4.5 * std for place in range(50))


def test_random_choice_does_not_look_at_what_else_there_is() -> None:
    entries = data_set(200)
    chosen = keys(select(entries, "random:20:7"))
    without = [e for e in entries if e.key in chosen or e.where % 2]
    assert keys(select(without, "random:20:7")) == chosen


@pytest.mark.parametrize(
    ("sizes", "number", "counts"),
    [
        ((50, 50, 50), 30, [10, 10, 10]),
        ((50, 50, 50), 31, [10, 10, 11]),
        ((50, 50, 50), 2, [0, 1, 1]),
        ((3, 50, 50), 30, [3, 13, 14]),
        ((3, 5, 50), 58, [3, 5, 50]),
    ],
)
def test_stratified_choice_has_as_many_of_each_class_as_the_classes_allow(
    sizes: tuple[int, ...], number: int, counts: list[int]
) -> None:
    chosen = select(data_set(*sizes), f"stratified:{number}:0")
    found = Counter(entry.label for entry in chosen)
    assert sorted(found[label] for label in range(len(sizes))) == counts


def test_the_seed_decides_which_class_gets_one_more() -> None:
    entries, num_seeds = data_set(20, 20, 200), 600
    more = Counter()
    for seed in range(num_seeds):
        labels = Counter(e.label for e in select(entries, f"stratified:4:{seed}"))
        more[labels.most_common(1)[0][0]] += 1
    expected, std = num_seeds / 3, (num_seeds * 2 / 9) ** 0.5
    assert all(abs(more[label] - expected) < 4.5 * std for label in range(3))


def test_cohens_500_of_cifar_are_every_20th() -> None:
    entries = shuffled(data_set(*[1000] * 10))
    assert select(entries, "cohen500") == entries[::20]


def test_cohens_500_of_imagenet_are_the_same_in_every_layout() -> None:
    folders = imagenet()
    chosen = select(folders, "cohen500")
    assert chosen == folders[::100]
    assert keys(select(shuffled(folders), "cohen500")) == keys(chosen)


def test_cohens_500_of_imagenet_have_the_labels_of_the_published_log() -> None:
    folder = Path(os.environ.get("DIFFSMOOTH_DATA", "")) / "cohen_logs"
    if "DIFFSMOOTH_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("DIFFSMOOTH_DATA names no folder with cohen_logs")
    (path,) = folder.glob("imagenet_*.tsv")
    with path.open() as file:
        log = list(csv.DictReader(file, delimiter="\t"))
    chosen = select(imagenet(), "cohen500")
    assert [e.where for e in chosen] == [int(row["idx"]) for row in log]
    assert [e.label for e in chosen] == [int(row["label"]) for row in log]


@pytest.mark.parametrize("size", [50, 499, 1797, 50_001])
def test_cohens_500_of_another_size_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of 500, .* data set has {size}"):
        select(data_set(size), "cohen500")


@pytest.mark.parametrize("subset", ["first:11", "random:11:0", "stratified:11:0"])
def test_more_images_than_there_are_is_refused_with_both_numbers(subset: str) -> None:
    with pytest.raises(ValueError, match=r"at least 11 images; the data set has 10"):
        select(ENTRIES, subset)


@pytest.mark.parametrize(
    "subset",
    [
        "",
        "all",
        "first",
        "first:0",
        "first:-3",
        "first:03",
        "first:1.5",
        "first:3:0",
        "stride:0",
        "random:5",
        "random:0:1",
        "random:5:-1",
        "random:5:1:2",
        "stratified:5",
        "cohen500:1",
        "cohen-500",
        "full\n",
    ],
)
def test_a_subset_that_means_nothing_is_refused(subset: str) -> None:
    with pytest.raises(ValueError, match="subset needs full, first:n, stride:k"):
        select(ENTRIES, subset)
    with pytest.raises(ValueError, match="Write for example first:200"):
        require_subset(subset)


@pytest.mark.parametrize("subset", ["full", "stride:2", "cohen500"])
def test_an_empty_result_is_refused(subset: str) -> None:
    with pytest.raises(ValueError, match="the data set has 0"):
        select([], subset)


def test_digest_is_of_keys_and_labels_in_any_order_and_of_nothing_else() -> None:
    digest = subset_digest(ENTRIES)
    assert digest == subset_digest(shuffled(ENTRIES))
    assert digest == subset_digest([Entry(e.key, e.label, None) for e in ENTRIES])
    others = [
        ENTRIES[:-1],
        [Entry("image_0", 1, 0), *ENTRIES[1:]],
        [Entry("image_A", 0, 0), *ENTRIES[1:]],
    ]
    assert len({digest, *map(subset_digest, others)}) == 4


def test_digest_stays_what_it_is() -> None:
    # printf '[["a", 1], ["b", 0]]' | sha256sum
    assert subset_digest([Entry("b", 0, 7), Entry("a", 1, 8)]) == (
        "1afcd7d9710382fc6aded76948aaaa4b8652073bea34d26d01eafa333e6f7803"
    )
