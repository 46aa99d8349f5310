import re

import pytest

from pipelines.foreign_log import ForeignLog, parse_log

CERTIFICATES = [
    (0, 3, 3, "0.378", 15.5),
    (20, 7, -1, "0.0", 15.0),
    (40, 4, 5, "0.0341", 16.5),
    (60, 1, 1, "0.9", 61.0),
    (80, 0, 0, "1e-05", 3661.5),
]
"""idx, label, predict, radius, seconds."""

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime"


def cohen(time: str = "{:.1f}", *, total: bool = False) -> str:
    lines, right = [HEADER], 0
    for index, label, guessed, radius, seconds in CERTIFICATES:
        right = int(label == guessed) + (right if total else 0)
        clock = time.format(seconds)
        lines.append(f"{index}\t{label}\t{guessed}\t{radius}\t{right}\t{clock}")
    return "\n".join(lines) + "\n"


def clocked() -> str:
    times = iter(["0:00:15.500000", "0:00:15", "0:00:16.5", "0:01:01", "1:01:01.5"])
    return re.sub(r"[\d.]+$", lambda _: next(times), cohen(), flags=re.MULTILINE)


def without_idx() -> str:
    return "".join(
        f"{line.partition(chr(9))[2]}\n" for line in cohen().splitlines()[1:]
    )


def other_order() -> str:
    rows = [line.split("\t") for line in cohen().splitlines()]
    return "\n".join("\t".join(row[::-1]) for row in rows) + "\n"


def without_time() -> str:
    return "\n".join(line.rpartition("\t")[0] for line in cohen().splitlines()) + "\n"


DIALECTS = {
    "seconds": cohen(),
    "hours, minutes and seconds": clocked(),
    "running total": cohen(total=True),
    "rrcm, without header and idx": without_idx(),
    "six columns without header": cohen().partition("\n")[2],
    "commas": cohen().replace("\t", ","),
    "spaces": cohen().replace("\t", "  "),
    "columns in another order": other_order(),
    "without time": without_time(),
    "lines of Windows": cohen().replace("\n", "\r\n"),
    "no newline at the end": cohen().rstrip("\n"),
    "byte order mark": "\ufeff" + cohen(),
}


def parsed(text: str, num_classes: int = 10) -> ForeignLog:
    return parse_log(text.encode(), "a.tsv", num_classes=num_classes)


@pytest.mark.parametrize("text", DIALECTS.values(), ids=DIALECTS.keys())
def test_every_dialect_says_the_same(text: str) -> None:
    rows = parsed(text).rows

    assert [(row.label, row.guessed_class, row.radius) for row in rows] == [
        (label, guessed, float(radius)) for _, label, guessed, radius, _ in CERTIFICATES
    ]
    assert [row.index for row in rows] in ([0, 20, 40, 60, 80], [None] * 5)
    assert [row.seconds for row in rows] in (
        [seconds for *_, seconds in CERTIFICATES],
        [None] * 5,
    )


def test_what_a_dialect_leaves_out_is_not_made_up() -> None:
    assert {row.index for row in parsed(without_idx()).rows} == {None}
    assert {row.seconds for row in parsed(without_time()).rows} == {None}
    assert parsed(clocked()).rows[4].seconds == 3661.5


def test_only_a_running_total_is_called_one() -> None:
    totals = {name: parsed(text).running_total for name, text in DIALECTS.items()}

    assert [name for name, total in totals.items() if total] == ["running total"]


def test_the_last_printed_digit_is_known_though_zeros_are_left_out() -> None:
    units = [row.unit for row in parsed(cohen()).rows]

    assert units[0] == pytest.approx(1e-3)  # 0.378
    assert units[2] == pytest.approx(1e-4)  # 0.0341
    assert units[3] == pytest.approx(1e-3)  # 0.9 stands for 0.900
    assert units[4] == pytest.approx(1e-7)  # 1e-05


def test_a_certificate_that_took_days_is_read() -> None:
    (row,) = parsed(f"{HEADER}\n0\t1\t1\t0.5\t1\t2 days, 1:00:00\n").rows

    assert row.seconds == 49 * 3600


GOOD = "0\t3\t3\t0.378\t1\t15.4"
LAST = "last line: if the program that wrote it was stopped there"

REFUSED = {
    "nothing": ("", r"a\.tsv:1 is blank"),
    "a header alone": (f"{HEADER}\n", r"has a header and no more"),
    "a blank line": (f"{HEADER}\n{GOOD}\n\n{GOOD}\n", r"a\.tsv:3 is blank. Delete"),
    "a blank line at the end": (f"{HEADER}\n{GOOD}\n\n", r"a\.tsv:3 is blank"),
    "a line cut short": (
        f"{HEADER}\n{GOOD}\n20\t7\t-1\t0.\n",
        rf"6 values .*a\.tsv:3 has 4\. It is the {LAST}",
    ),
    "a time cut short": (f"{HEADER}\n{GOOD}\n20\t7\t-1\t0.0\t0\t0:0", LAST),
    "a short line within": (f"{HEADER}\n0\t3\n{GOOD}\n", r"a\.tsv:2 has 2\. Mend"),
    "a long line": (f"{HEADER}\n{GOOD}\t7\n", r"6 values .*a\.tsv:2 has 7"),
    "a header within": (f"{HEADER}\n{GOOD}\n{HEADER}\n", r"a\.tsv:3 has 'idx'"),
    "other columns": ("idx\tlabel\tscore\n1\t2\t3\n", r"a\.tsv:1 has 'idx label score"),
    "a column twice": (f"{HEADER}\tlabel\n{GOOD}\t3\n", r"a\.tsv:1 has"),
    "no certificates": ('{"kind": "imported"}\n', r"needs the columns idx label"),
    "the same image": (f"{HEADER}\n{GOOD}\n{GOOD}\n", r"a\.tsv:3 has idx 0 again"),
    "idx below 0": (GOOD.replace("0\t", "-2\t", 1), r"idx of at least 0; a\.tsv:1"),
    "no class": (GOOD.replace("\t3\t3", "\t10\t10"), r"label in \[0, 10\); .* has 10"),
    "a negative label": (GOOD.replace("\t3\t3", "\t-1\t3"), r"label in \[0, 10\)"),
    "another class": (GOOD.replace("\t3\t3", "\t3\t12"), r"predict in .* has 12"),
    "class -2": (GOOD.replace("\t3\t3", "\t3\t-2"), r"or -1 to abstain; .* has -2"),
    "half a class": (GOOD.replace("\t3\t3", "\t3\t3.5"), r"predict; .* has '3\.5'"),
    "NaN": (GOOD.replace("0.378", "nan"), r"finite radius .*a\.tsv:1 has 'nan'"),
    "infinity": (GOOD.replace("0.378", "inf"), r"finite radius"),
    "a radius too large": (GOOD.replace("0.378", "1e999"), r"finite radius"),
    "a negative radius": (GOOD.replace("0.378", "-0.1"), r"finite radius"),
    "no radius": (GOOD.replace("0.378", "three"), r"finite radius .* has 'three'"),
    "an abstention with a radius": (
        GOOD.replace("\t3\t3", "\t3\t-1"),
        r"radius 0 where predict is -1; a\.tsv:1 has 0\.378",
    ),
    "no time": (GOOD.replace("15.4", "soon"), r"a time, .* has 'soon'"),
}


@pytest.mark.parametrize(("text", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_nonsense_is_refused_by_line(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parsed(text)


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        ([1, 0, 1, 0], 5),  # an image is called wrong that is right
        ([1, 1, 2, 4], 5),  # a running total that jumps
        ([0, 1, 2, 3], 2),  # neither from the start
    ],
)
def test_a_column_correct_that_says_something_else_is_refused(
    shown: list[int], line: int
) -> None:
    rows = zip((3, 4, 5, 6), (3, 0, 5, 6), shown, strict=True)
    text = "".join(f"{y}\t{y}\t{c}\t0.1\t{s}\t1\n" for y, c, s in rows)

    with pytest.raises(ValueError, match=rf"a\.tsv:{line} has {shown[line - 2]}\."):
        parsed(f"{HEADER}\n{text}")


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="a log in plain text"):
        parse_log(b"PAR1\xff\xfe\x00", "a.tsv", num_classes=10)
