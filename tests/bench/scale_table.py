"""One table for all measurements of scale: a section each, dated by itself.

Other files of this folder named ``scale_*``, ``busy.py`` and ``commit_cost.py`` write
their section with :func:`keep`; the others' sections stay as they are.
"""

import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from made import file_name, heading
from measure import Row, markdown

HEADING = """\
# Scale

Each section was measured by itself, by the command it names.
"""

SECTIONS = (
    "Images through certify",
    "Units",
    "Ledger on disk",
    "Ledger on S3",
    "Busy actors",
    "Commit",
)
"""Titles, in the order they stand in."""


def load() -> float:
    """Return how many processes wanted a core in the last minute."""
    return os.getloadavg()[0]


def keep(
    title: str, rows: Sequence[Row], *, note: str, before: float, write: bool
) -> None:
    """Print a section, and put it in the table in place of the one before.

    Args:
        title: one of :data:`SECTIONS`.
        rows: what was measured.
        note: what a reader has to know of how.
        before: the load when the measurement began.
        write: whether to keep it.
    """
    text = _section(title, rows, note, before)
    sys.stdout.write(text)
    sys.stdout.flush()
    if write:
        path = Path(__file__).with_name(file_name("scale"))
        found = _sections(path.read_text()) if path.exists() else {}
        found[title] = text
        listed = [found[name] for name in SECTIONS if name in found]
        path.write_text("\n".join([HEADING, *listed]))


def _section(title: str, rows: Sequence[Row], note: str, before: float) -> str:
    more = {"load before": f"{before:.1f}", "Ray": version("ray")}
    return f"{heading(f'## {title}', more)}\n{markdown(rows)}\n{note}"


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in parts}
