"""Log records as JSON, an object per line."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_USUAL = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"}
"""What every record has; all else came as ``extra``."""

_RAYS = "_ray_"
"""Begins what Ray adds to every record of a process that has imported it."""


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, with every field of ``extra``."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        """Keep the fields that every line has, unless ``extra`` has its own.

        Args:
            fields: names and values.
        """
        super().__init__()
        self._fields = dict(fields)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        for name, value in {**self._fields, **_extra(record)}.items():
            # A field called like one of ours keeps its value under a name beside it.
            line[f"{name}_" if name in line else name] = _plain(value)
        return json.dumps(line)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _USUAL and not name.startswith(_RAYS)
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it; what it does not know, as text."""
    try:
        return json.loads(json.dumps(value, default=str, allow_nan=False))
    except (TypeError, ValueError):  # a key that is no text, a circle, a NaN
        return str(value)
