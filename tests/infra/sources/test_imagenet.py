import pytest

from infra.sources.imagenet import (
    NUM_VALIDATION,
    VALIDATION_NAME,
    class_index,
    reassessed_labels,
    wordnet_ids,
)


def test_there_are_a_thousand_classes_in_sorted_order() -> None:
    ids = wordnet_ids()
    assert len(ids) == len(set(ids)) == 1000
    assert list(ids) == sorted(ids)


@pytest.mark.parametrize(
    ("wordnet_id", "index"),
    # Tench, kit fox, zebra, the bird called crane, the machine called crane.
    [
        ("n01440764", 0),
        ("n02119789", 278),
        ("n02391049", 340),
        ("n02012849", 134),
        ("n03126707", 517),
    ],
)
def test_a_class_has_its_known_index(wordnet_id: str, index: int) -> None:
    assert class_index(wordnet_id, "here") == index


@pytest.mark.parametrize("name", ["n00000000", "tench", ""])
def test_what_is_no_class_is_refused_with_its_place(name: str) -> None:
    with pytest.raises(ValueError, match=f"line 3 has '{name}'"):
        class_index(name, "line 3")


def test_people_saw_the_official_labels_of_the_first_images() -> None:
    seen = reassessed_labels()
    assert len(seen) == NUM_VALIDATION
    # Labels of ILSVRC2012_val_00000002 to _00000007, by the published list.
    for classes, label in zip(seen[1:7], (970, 230, 809, 516, 57, 334), strict=True):
        assert label in classes


@pytest.mark.parametrize(
    ("name", "official"),
    [
        ("ILSVRC2012_val_00000293", True),
        ("ILSVRC2012_val_293", False),
        ("ILSVRC2012_test_00000293", False),
        ("ILSVRC2012_val_00000293.JPEG", False),
    ],
)
def test_official_names_are_known(name: str, official: bool) -> None:
    assert bool(VALIDATION_NAME.fullmatch(name)) is official
