from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from infra.sources.devkit import read_class_order


def lines(order: Mapping[int, str]) -> str:
    return "".join(f"{name} {number} a_name\n" for number, name in order.items())


@pytest.mark.parametrize("name", ["meta.mat", "map_clsloc.txt"])
def test_both_tables_give_the_class_of_every_number(
    name: str,
    put: Callable[..., Path],
    meta: Callable[..., bytes],
    order: Mapping[int, str],
    tmp_path: Path,
) -> None:
    # The order of the rows says nothing; the numbers do.
    backwards = dict(sorted(order.items(), reverse=True))
    content = meta(list(backwards.items())) if name == "meta.mat" else lines(backwards)
    read = read_class_order(str(put(tmp_path / name, content)))
    known = sorted(order.values())
    assert [known[index] for index in read] == [
        order[number] for number in range(1, 1001)
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({1: "n00000000"}, "gives number 1 to 'n00000000'"),
        ({1: "n01443537", 2: "n01443537"}, "gives several numbers to one class"),
        ({1001: "n01440764"}, "has 1001 numbers, not 1 to 1000"),
        ({0: "n01440764"}, "has 1001 numbers, not 1 to 1000"),
    ],
)
def test_a_table_of_other_classes_is_refused(
    change: Mapping[int, str],
    message: str,
    put: Callable[..., Path],
    order: Mapping[int, str],
    tmp_path: Path,
) -> None:
    place = put(tmp_path / "map_clsloc.txt", lines({**order, **change}))
    with pytest.raises(ValueError, match=f"map_clsloc.txt {message}"):
        read_class_order(str(place))


def test_sorted_wordnet_ids_are_refused_as_a_table(
    put: Callable[..., Path], wordnet_ids: Sequence[str], tmp_path: Path
) -> None:
    table = dict(enumerate(wordnet_ids, start=1))
    place = put(tmp_path / "map_clsloc.txt", lines(table))
    with pytest.raises(ValueError, match="in the order of the WordNet ids"):
        read_class_order(str(place))


def test_a_number_given_twice_is_refused(
    put: Callable[..., Path], order: Mapping[int, str], tmp_path: Path
) -> None:
    twice = lines(order) + "n01440764 5 tench\n"
    place = put(tmp_path / "map_clsloc.txt", twice)
    with pytest.raises(ValueError, match="gives one number to several classes"):
        read_class_order(str(place))


def test_a_line_without_a_number_is_refused(
    put: Callable[..., Path], tmp_path: Path
) -> None:
    place = put(tmp_path / "LOC_synset_mapping.txt", "n01440764 tench, Tinca tinca\n")
    with pytest.raises(ValueError, match=r"has 'n01440764 tench, Tinca .* line 1"):
        read_class_order(str(place))


@pytest.mark.parametrize("content", [b"", b"no table" * 80, b"\0" * 200])
def test_a_damaged_meta_is_refused_by_name(
    content: bytes, put: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"meta\.mat cannot be read"):
        read_class_order(str(put(tmp_path / "meta.mat", content)))


def test_the_table_of_another_year_is_refused(
    put: Callable[..., Path],
    meta: Callable[..., bytes],
    order: Mapping[int, str],
    tmp_path: Path,
) -> None:
    content = meta(list(order.items()), "ILSVRC2010_ID")
    with pytest.raises(ValueError, match=r"cannot be read: .*ILSVRC2012_ID"):
        read_class_order(str(put(tmp_path / "meta.mat", content)))


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*map_clsloc\.txt"):
        read_class_order(f"{tmp_path}/map_clsloc.txt")
