"""Every fault, injected into real runs, as one Markdown table.

Run: ``make chaos``, or ``python tests/chaos/table.py [--write] [--only WORD]``; with
``--write`` the table is kept among the measurements in ``tests/bench``, named for the
hardware and the month. Ends with status 1 if a run did not end as it should.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Tables of measurements share how they are headed and named.
sys.path.append(str(Path(__file__).parents[1] / "bench"))

from ground import RECIPE, Ground, Impossible, prepared
from made import file_name, heading
from outcomes import Outcome
from scenarios import SCENARIOS, Scenario

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


def table(rows: Sequence[Played]) -> str:
    """Return the table under a heading that says how it was made."""
    more = {
        "load at the end": f"{os.getloadavg()[0]:.1f}",
        "recipe": f"{RECIPE['data']['subset']} of digits, 42 blocks, no purifier",
    }
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells for row in rows)]
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{heading('# Faults of certify', more)}\n{body}\n{NOTE}"


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
    text = table(rows)
    sys.stdout.write(text)
    if asked.write:
        (BENCH / file_name("faults")).write_text(text)
    sys.exit(not all(row.good for row in rows))


if __name__ == "__main__":
    main()
