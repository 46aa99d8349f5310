from collections.abc import Callable

import pyarrow as pa
import pytest

from pipelines.seen_images import SeenImages, require_same_images

Table = Callable[..., pa.Table]


@pytest.fixture
def images(vote_table: Table) -> pa.Table:
    seen = SeenImages()
    for rows in (
        vote_table(0, 1),
        vote_table(0, image="b"),
        vote_table(2, image="unread", image_sha256=None),
    ):
        seen.add(rows)
    return seen.table()


def test_an_image_whose_content_changed_is_refused(images: pa.Table) -> None:
    require_same_images(images, {"a": "aa", "b": "bb", "c": "cc"}, "OUT")
    require_same_images(images, {"a": "aa"}, "OUT")

    with pytest.raises(ValueError, match="'b' with sha256 bb, now it is other"):
        require_same_images(images, {"a": "aa", "b": "other"}, "OUT")


def test_an_image_that_was_never_read_has_no_content_to_compare(
    images: pa.Table,
) -> None:
    (unread,) = [r for r in images.to_pylist() if r["image_key"] == "unread"]
    assert unread["image_sha256"] is None
    require_same_images(images, {"unread": "any"}, "OUT")

    read = pa.Table.from_pylist([{**unread, "image_sha256": "uu"}], images.schema)
    with pytest.raises(ValueError, match="'unread' with sha256 uu, now it is any"):
        require_same_images(read, {"unread": "any"}, "OUT")


def test_an_image_of_two_contents_is_refused_for_either(vote_table: Table) -> None:
    seen = SeenImages()
    seen.add(vote_table(0))
    seen.add(vote_table(1, image_sha256="other"))

    for one in ("aa", "other"):
        with pytest.raises(ValueError, match="needs the images its votes were cast on"):
            require_same_images(seen.table(), {"a": one}, "OUT")


def test_rows_may_come_in_any_number_of_parts(vote_table: Table) -> None:
    seen, whole = SeenImages(), []
    for number in range(1500):
        rows = vote_table(0, image=f"i{number % 700}", seconds=0.25)
        seen.add(rows)
        whole.append(rows)
    at_once = SeenImages()
    at_once.add(pa.concat_tables(whole))

    assert (
        seen.table().sort_by("image_key").equals(at_once.table().sort_by("image_key"))
    )
    assert len(seen.table()) == 700
