"""One line of a foreign log, and what can be wrong with it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NoReturn

_WHOLE = re.compile(r"-?\d{1,18}")
_CLOCK = re.compile(r"(?:(\d{1,4}) days?, )?(\d{1,4}):([0-5]\d):([0-5]\d(?:\.\d+)?)")
_SECONDS = re.compile(r"\d{1,9}(?:\.\d*)?(?:[eE]-\d+)?")
_DIGITS = 3
"""Significant digits that these programs print; zeros at the end are left out."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """What a log says of one image."""

    line: int
    """Where it stands in the file, from 1."""

    index: int | None
    """Number of the image in its data set; ``None`` where the log has no ``idx``."""

    label: int
    """True class."""

    guessed_class: int
    """Class the certificate speaks of; -1 for an abstention."""

    radius: float
    """As printed, an l2 distance in [0, 1] pixels."""

    unit: float
    """One in the last digit that the program would have printed."""

    seconds: float | None
    """Time spent on the image; ``None`` where the log has no ``time``."""


@dataclass(frozen=True)
class Line:
    """One line of a log, for what is read from it and what is said about it."""

    name: str
    """Of the log."""

    number: int
    """Its place in the file, from 1."""

    last: bool
    """Whether the file ends with it."""

    def fields(
        self, text: str, columns: Sequence[str], mark: str | None
    ) -> dict[str, str]:
        """Return the values of a line by column.

        Args:
            text: of the line.
            columns: what its values are.
            mark: what stands between them; ``None`` for any white space.

        Raises:
            ValueError: there are more or fewer values than columns.
        """
        values = [value.strip() for value in text.split(mark)]
        if len(values) != len(columns):
            self._refuse(f"{len(columns)} values ({' '.join(columns)})", len(values))
        return dict(zip(columns, values, strict=True))

    def row(self, fields: Mapping[str, str], num_classes: int) -> LogRow:
        """Return what the line says of its image.

        Args:
            fields: values by column.
            num_classes: classes that there are, at least 1.

        Raises:
            ValueError: a value is none that its column can have.
        """
        index = self.whole(fields, "idx") if "idx" in fields else None
        if index is not None and index < 0:
            self._refuse("idx of at least 0", index)
        label, guessed = self.whole(fields, "label"), self.whole(fields, "predict")
        if not 0 <= label < num_classes:
            self._refuse(f"label in [0, {num_classes})", label)
        if not -1 <= guessed < num_classes:
            self._refuse(f"predict in [0, {num_classes}), or -1 to abstain", guessed)
        radius, unit = self._radius(fields["radius"])
        if guessed == -1 and radius > 0:
            self._refuse("radius 0 where predict is -1", fields["radius"])
        seconds = self._seconds(fields["time"]) if "time" in fields else None
        return LogRow(self.number, index, label, guessed, radius, unit, seconds)

    def whole(self, fields: Mapping[str, str], column: str) -> int:
        """Return a whole number.

        Args:
            fields: values by column.
            column: whose value.

        Raises:
            ValueError: it is something else.
        """
        if not _WHOLE.fullmatch(fields[column]):
            self._refuse(f"a whole number as {column}", repr(fields[column]))
        return int(fields[column])

    def _radius(self, text: str) -> tuple[float, float]:
        """Return a radius and one in its last digit."""
        try:
            radius = Decimal(text)
        except InvalidOperation:
            radius = Decimal("NaN")
        exponent = radius.as_tuple().exponent
        if not isinstance(exponent, int) or radius < 0 or math.isinf(float(radius)):
            self._refuse("a finite radius of at least 0", repr(text))
        digit = min(exponent, radius.adjusted() - _DIGITS + 1)
        return abs(float(radius)), float(10.0**digit)

    def _seconds(self, text: str) -> float:
        if _SECONDS.fullmatch(text):
            return float(text)
        clock = _CLOCK.fullmatch(text)
        if clock is None:
            self._refuse("a time, H:MM:SS.ffffff or seconds", repr(text))
        days, hours, minutes = (int(part or 0) for part in clock.groups()[:3])
        return ((24 * days + hours) * 60 + minutes) * 60 + float(clock[4])

    def _refuse(self, needs: str, has: object) -> NoReturn:
        advice = (
            "It is the last line: if the program that wrote it was stopped there, "
            "delete the line; its image then does not count"
            if self.last
            else "Mend that line; an image left out would change the accuracy"
        )
        raise ValueError(
            f"import needs {needs}; {self.name}:{self.number} has {has}. {advice}."
        )
