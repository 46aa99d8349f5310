"""Logs of certificates that other programs wrote, read line by line, none skipped."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from pipelines.cohen_log import HEADER
from pipelines.log_line import Line, LogRow

_NEEDED = ("label", "predict", "radius", "correct")
_SEPARATORS = {"tab": "\t", "comma": ",", "whitespace": None}


@dataclass(frozen=True)
class ForeignLog:
    """A whole log and how it is written."""

    rows: tuple[LogRow, ...]
    """One per image, in the order of the file."""

    columns: tuple[str, ...]
    """What its columns are."""

    header: bool
    """Whether the first line names them."""

    separator: str
    """``tab``, ``comma`` or ``whitespace``."""

    running_total: bool
    """Whether its column ``correct`` adds up the right images so far."""


def parse_log(content: bytes, name: str, *, num_classes: int) -> ForeignLog:
    """Read a log of certificates as Cohen's program and its descendants write it.

    The columns are ``idx label predict radius correct time``, named in any order by a
    header; without one there are these six, or the last five. ``predict`` is -1 for an
    abstention. ``correct`` is not trusted: it must say of each image whether
    ``predict == label``, or how many images so far.

    Args:
        content: of the file.
        name: what to call it in an error.
        num_classes: classes that there are, at least 1.

    Raises:
        ValueError: a line is not such a certificate, an image comes twice, or
            ``correct`` says something else; the message names the line.

    Source:
        The format is that of the logs of Cohen, Rosenfeld and Kolter 2019,
        arXiv:1902.02918. The running total is that of diffusion denoised smoothing,
        Carlini et al. 2023, arXiv:2206.10550; the five columns are those of rRCM, Lei
        et al. 2025, arXiv:2501.13094.
    """
    lines = _lines(content, name)
    separator = next(
        kind for kind, mark in _SEPARATORS.items() if mark is None or mark in lines[0]
    )
    first = [field.strip() for field in lines[0].split(_SEPARATORS[separator])]
    header = "label" in [field.lower() for field in first]
    columns = _columns(first, name, header=header)
    start = 2 if header else 1
    rows, shown = [], []
    for number, text in enumerate(lines[start - 1 :], start):
        line = Line(name, number, last=number == len(lines))
        fields = line.fields(text, columns, _SEPARATORS[separator])
        rows.append(line.row(fields, num_classes))
        shown.append(line.whole(fields, "correct"))
    if not rows:
        raise ValueError(
            f"import needs certificates; {name} has a header and no more. Import it "
            f"when the program that writes it has done an image."
        )
    _require_each_image_once(rows, name)
    total = _is_running_total(rows, shown, name)
    return ForeignLog(tuple(rows), columns, header, separator, total)


def _lines(content: bytes, name: str) -> list[str]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"import needs a log in plain text; {name} has {error}. Check the path."
        ) from error
    lines = re.split(r"\r?\n", text.removesuffix("\n").removesuffix("\r"))
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise ValueError(
                f"import needs a certificate in every line; {name}:{number} is blank. "
                f"Delete that line."
            )
    return lines


def _columns(first: Sequence[str], name: str, *, header: bool) -> tuple[str, ...]:
    named = tuple(field.lower() for field in first)
    if header:
        missing = [column for column in _NEEDED if column not in named]
        others = [column for column in named if column not in HEADER]
        if not missing and not others and len(set(named)) == len(named):
            return named
    elif len(first) in {len(HEADER), len(HEADER) - 1}:
        return HEADER[-len(first) :]
    raise ValueError(
        f"import needs the columns {' '.join(HEADER)}, of which idx and time may be "
        f"missing where a header names the others, and idx where there is no header; "
        f"{name}:1 has {' '.join(first)[:80]!r}. Name or delete columns until it fits."
    )


def _require_each_image_once(rows: Sequence[LogRow], name: str) -> None:
    seen: dict[int, int] = {}
    for row in rows:
        if row.index is None:
            continue
        if row.index in seen:
            raise ValueError(
                f"import needs each image once; {name}:{row.line} has idx {row.index} "
                f"again, after line {seen[row.index]}. Delete one of them."
            )
        seen[row.index] = row.line


def _is_running_total(rows: Sequence[LogRow], shown: Sequence[int], name: str) -> bool:
    right = [int(row.guessed_class == row.label) for row in rows]
    total = list(accumulate(right))
    wrong_as_flag = _first_difference(shown, right)
    if wrong_as_flag is None:
        return False
    wrong_as_total = _first_difference(shown, total)
    if wrong_as_total is None:
        return True
    place = max(wrong_as_flag, wrong_as_total)
    raise ValueError(
        f"import needs correct to say whether predict == label, here {right[place]}, "
        f"or how many images so far are right, here {total[place]}; "
        f"{name}:{rows[place].line} has {shown[place]}. Mend it, or import logs that "
        f"were joined one by one."
    )


def _first_difference(some: Sequence[int], others: Sequence[int]) -> int | None:
    pairs = enumerate(zip(some, others, strict=True))
    return next((place for place, (one, other) in pairs if one != other), None)
