"""How every table of measurements says what it was made with, and how it is named."""

import datetime
import platform
import re
import shlex
import sys
from collections.abc import Mapping
from os.path import relpath

from infra.provenance import commit, hardware

NOTHING: Mapping[str, str] = {}


def heading(title: str, more: Mapping[str, str] = NOTHING) -> str:
    """Return a title, and below it date, commit, command and machine as a list.

    Args:
        title: with its number signs.
        more: further facts, by name.
    """
    made_at = commit() or {"commit": "unknown", "dirty": False}
    machine = hardware()
    facts = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": made_at["commit"] + (" with changes" if made_at["dirty"] else ""),
        "command": f"`{shlex.join(['python', relpath(sys.argv[0]), *sys.argv[1:]])}`",
        "hardware": _hardware_name(),
        "cores, memory": f"{machine['cores']}, {machine['memory_gib']} GiB",
        "Python": platform.python_version(),
        **more,
    }
    listed = "".join(f"* {name}: {value}\n" for name, value in facts.items())
    return f"{title}\n\n{listed}"


def file_name(subject: str) -> str:
    """Return the name of a table: its subject, the hardware and the month."""
    name = re.sub(r"[^a-z0-9]+", "_", _hardware_name().lower()).strip("_")
    month = datetime.datetime.now(datetime.UTC).strftime("%Y%m")
    return f"{subject}_{name}_{month}.md"


def _hardware_name() -> str:
    machine = hardware()
    return ", ".join([machine["cpu"], *machine["gpus"]])
