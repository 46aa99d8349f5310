"""Every fault, injected into real runs, as one Markdown table.

Run: ``make chaos``, or ``python tests/chaos/table.py [--write] [--only WORD]``; with
``--write`` the table is kept among the measurements in ``tests/bench``, named for the
hardware and the month. Ends with status 1 if a run did not end as it should.
"""

import argparse
import datetime
import logging
import os
import platform
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ground import RECIPE, Ground, Impossible, prepared
from outcomes import Outcome
from scenarios import SCENARIOS, Scenario

from infra.provenance import commit, hardware

logger = logging.getLogger(__name__)

BENCH = Path(__file__).parents[1] / "bench"
COLUMNS = (
    "fault",
    "plan",
    "injected",
    "votes lost",
    "counted twice",
    "blocks repeated",
    "seconds to continue",
    "same bytes",
    "status",
    "as promised",
)


@dataclass(frozen=True)
class Played:
    """What came of a scenario."""

    cells: tuple[str, ...]
    good: bool


def play(scenario: Scenario, ground: Ground) -> Played:
    """Play a scenario; one that this machine does not allow is no failure."""
    logger.info("playing: %s", scenario.name)
    began = time.monotonic()
    try:
        outcome = scenario.play(ground, scenario.plan)
    except Impossible as reason:
        return _not_measured(scenario, f"not possible here: {reason}", good=True)
    except AssertionError as broken:
        logger.warning("%s", broken)
        reason = str(broken).splitlines()[0][:200]
        return _not_measured(scenario, f"**{reason}**", good=False)
    logger.info("%.0f s: %s", time.monotonic() - began, outcome)
    return _measured(scenario, outcome)


def _not_measured(scenario: Scenario, reason: str, *, good: bool) -> Played:
    name = scenario.play.__name__.replace("_", " ")
    blank = [""] * (len(COLUMNS) - 4)
    return Played(
        (name, scenario.plan, reason, *blank, "yes" if good else "**no**"), good
    )


def _measured(scenario: Scenario, outcome: Outcome) -> Played:
    good = scenario.kept_promises(outcome)
    waited = outcome.seconds_to_continue
    verdict = "yes" if good else "; ".join(["**no**", *outcome.left])
    cells = (
        outcome.fault,
        outcome.plan,
        outcome.injected,
        str(outcome.votes_lost),
        str(outcome.counted_twice),
        str(outcome.blocks_repeated),
        "none written" if waited is None else f"{waited:.1f}",
        "yes" if outcome.same_bytes else "**no**",
        str(outcome.status),
        verdict,
    )
    return Played(cells, good)


def table(rows: Sequence[Played], command: str) -> str:
    """Return the table under a heading that says how it was made."""
    made_at = commit() or {"commit": "unknown", "dirty": False}
    machine = hardware()
    facts = [
        ("date", datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("commit", made_at["commit"] + (" with changes" if made_at["dirty"] else "")),
        ("command", f"`{command}`"),
        ("hardware", _hardware_name()),
        ("cores, memory", f"{machine['cores']}, {machine['memory_gib']} GiB"),
        ("load at the end", f"{os.getloadavg()[0]:.1f}"),
        ("Python", platform.python_version()),
        ("recipe", f"{RECIPE['data']['subset']} of digits, 42 blocks, no purifier"),
    ]
    heading = "".join(f"* {name}: {value}\n" for name, value in facts)
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells for row in rows)]
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"# Faults of certify\n\n{heading}\n{body}\n{NOTE}"


NOTE = """\
Votes lost: blocks asked for that are not in the ledger in the end. Counted twice:
blocks that count more than once in the certificates' histograms. Blocks repeated:
begun again after they had been begun once, of 42. Seconds to continue: from the fault,
or from the driver's restart, to the first new vote file. Same bytes: the certificates
equal those of an undisturbed run, where images were set aside those of all others.
As promised: all of that, the right exit status, and neither a process nor a temporary
file is left; not counting two agents of Ray's, which end a minute after a driver that
got SIGKILL.
"""


def _hardware_name() -> str:
    machine = hardware()
    return ", ".join([machine["cpu"], *machine["gpus"]])


def _file_name() -> str:
    name = re.sub(r"[^a-z0-9]+", "_", _hardware_name().lower()).strip("_")
    month = datetime.datetime.now(datetime.UTC).strftime("%Y%m")
    return f"faults_{name}_{month}.md"


def main() -> None:
    """Play every scenario, print the table, and keep it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="", help="part of the scenarios' names")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    chosen = [s for s in SCENARIOS.values() if asked.only in s.name]
    with tempfile.TemporaryDirectory() as name:
        # Nobody else's drivers find these clusters, nor these drivers theirs.
        os.environ["RAY_TMPDIR"] = name
        ground = prepared(Path(name), None)
        rows = [play(scenario, ground) for scenario in chosen]
    script = os.path.relpath(__file__)
    text = table(rows, shlex.join(["python", script, *sys.argv[1:]]))
    sys.stdout.write(text)
    if asked.write:
        (BENCH / _file_name()).write_text(text)
    sys.exit(not all(row.good for row in rows))


if __name__ == "__main__":
    main()
