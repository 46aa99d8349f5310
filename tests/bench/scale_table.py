"""One table for all measurements of scale: a section each, dated by itself.

Other files of this folder named ``scale_*``, ``busy.py`` and ``commit_cost.py`` write
their section with :func:`keep`; the others' sections stay as they are.
"""

import datetime
import os
import platform
import re
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from measure import Row, markdown

from infra.provenance import commit, hardware

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
        path = Path(__file__).with_name(_file_name())
        found = _sections(path.read_text()) if path.exists() else {}
        found[title] = text
        listed = [found[name] for name in SECTIONS if name in found]
        path.write_text("\n".join([HEADING, *listed]))


def _section(title: str, rows: Sequence[Row], note: str, before: float) -> str:
    made_at = commit() or {"commit": "unknown", "dirty": False}
    machine = hardware()
    script = os.path.relpath(sys.argv[0])
    facts = [
        ("date", datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("commit", made_at["commit"] + (" with changes" if made_at["dirty"] else "")),
        ("command", f"`{shlex.join(['python', script, *sys.argv[1:]])}`"),
        ("hardware", machine["cpu"]),
        ("cores, memory", f"{machine['cores']}, {machine['memory_gib']} GiB"),
        ("load before", f"{before:.1f}"),
        ("Python, Ray", f"{platform.python_version()}, {version('ray')}"),
    ]
    heading = "".join(f"* {name}: {value}\n" for name, value in facts)
    return f"## {title}\n\n{heading}\n{markdown(rows)}\n{note}"


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in parts}


def _file_name() -> str:
    name = re.sub(r"[^a-z0-9]+", "_", hardware()["cpu"].lower()).strip("_")
    month = datetime.datetime.now(datetime.UTC).strftime("%Y%m")
    return f"scale_{name}_{month}.md"
