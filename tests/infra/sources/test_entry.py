import pytest

from infra.sources.entry import (
    Entry,
    check_label,
    checked,
    missing_classes,
    report_missing,
)


def test_different_names_pass_in_their_order() -> None:
    entries = [Entry("b", 0, 0), Entry("a", 1, 1)]
    assert checked(entries, "here") == entries


def test_two_images_of_one_name_are_refused_by_name() -> None:
    entries = [Entry("a", 0, 0), Entry("b", 0, 1), Entry("b", 1, 2)]
    with pytest.raises(ValueError, match="here has 'b' 2 times"):
        checked(entries, "here")


def test_a_data_set_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="here has none"):
        checked([], "here")


@pytest.mark.parametrize("label", [-1, 10, None])
def test_a_label_that_is_no_class_is_refused(label: int | None) -> None:
    with pytest.raises(ValueError, match=rf"labels in \[0, 10\); row 3 has {label}"):
        check_label(label, 10, where="row 3")


def test_minus_one_is_explained() -> None:
    with pytest.raises(ValueError, match="unlabelled test split has -1"):
        check_label(-1, 1000, where="row 0")


def test_classes_without_an_image_are_named_in_class_order() -> None:
    entries = [Entry("a", 3, 0), Entry("b", 1, 1)]
    assert missing_classes(entries, ["c0", "c1", "c2", "c3", "c4"]) == [
        "c0",
        "c2",
        "c4",
    ]


def test_only_the_first_of_many_missing_classes_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    report_missing([Entry("a", 0, 0)], [f"c{index}" for index in range(9)], "Here")
    assert "Here has no image of 8 of its 9 classes" in caplog.text
    assert "c1, c2, c3, c4, c5 and 3 more" in caplog.text


def test_nothing_is_told_where_every_class_has_an_image(
    caplog: pytest.LogCaptureFixture,
) -> None:
    report_missing([Entry("a", 0, 0), Entry("b", 1, 0)], ["c0", "c1"], "Here")
    assert caplog.text == ""
