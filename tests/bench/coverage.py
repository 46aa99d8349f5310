"""How often images just below a radius are certified at it: a million for each rule.

Run: ``python tests/bench/coverage.py [--images N] [--write]``.
"""

import argparse
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from made import file_name, heading
from scipy.special import bdtr, ndtr

from ops.certify.looks import Table, look, nothing_read, rows_of, with_rows
from ops.certify.sequential import Sequential

logger = logging.getLogger(__name__)

ALPHA, N, BLOCK = 0.001, 10_000, 100
QUANTILES = (0.0, 1.0, 2.0, 3.0)
AT_ONCE = 100_000
RULES = ("default", "aggressive", "anytime", "fixed", "peeking")
HEADER = ("rule", "votes", "false certificates / alpha", "exact", "holds")


def table_of(rule: str) -> Table:
    """Return the table of a rule; of ``fixed`` one look, of ``peeking`` plain bounds.

    Args:
        rule: one of :data:`RULES`.
    """
    preset = rule if rule in ("default", "aggressive", "anytime") else "default"
    table = Sequential.model_validate({"preset": preset, "radii": QUANTILES}).table(
        1.0, N, block=BLOCK, failure_probability=ALPHA, step=1.0
    )
    if rule not in ("fixed", "peeking"):
        return table
    looks = np.array([N]) if rule == "fixed" else table.looks
    certify = [[_plain(draws, z) for draws in looks.tolist()] for z in QUANTILES]
    never = np.full((len(QUANTILES), len(looks)), N)
    return replace(table, looks=looks, certify=np.array(certify), give_up=never)


def _plain(draws: int, quantile: float) -> int:
    """Return the most failures that Clopper and Pearson's bound certifies."""
    counts = np.arange(draws + 1)
    held = np.flatnonzero(bdtr(counts, draws, float(ndtr(-quantile))) <= ALPHA)
    return int(held[-1]) if len(held) else -1


def false_share(
    chances: Sequence[float],
    table: Table,
    num_images: int,
    radii: int,
    *,
    given: bool = False,
) -> float:
    """Return the share of images with a class or a radius that does not hold.

    Args:
        chances: of each class.
        table: of the rule.
        num_images: how many are drawn.
        radii: that hold for the class with a majority, if there is one.
        given: whether the first class is known, and no other can be certified.
    """
    generator, wrong = np.random.default_rng(0), 0
    right = 0 if given or chances[0] > 0.5 else -1
    known = slice(0, 1) if given else slice(None)
    for start in range(0, num_images, AT_ONCE):
        num = min(AT_ONCE, num_images - start)
        standing = nothing_read(num)
        votes, before = np.zeros((num, len(chances)), np.int64), 0
        for number, draws in enumerate(table.looks.tolist()):
            rows = np.flatnonzero(~standing.stopped)
            votes[rows] += generator.multinomial(draws - before, chances, len(rows))
            label = np.full(len(rows), max(right, 0)) if table.on_label else None
            own = rows_of(standing, rows)
            found = look(own, votes[rows, known], table, number, label=label)
            standing, before = with_rows(standing, rows, found), draws
        latched = (standing.num_radii > 0) & (standing.latched_class != right)
        wrong += int((latched | (standing.num_radii > radii)).sum())
    return wrong / num_images


def cases() -> Iterator[tuple[str, list[float], int]]:
    """Yield votes in words, the chance of each class, and the radii that hold."""
    for number, quantile in enumerate(QUANTILES):
        failure = float(ndtr(-quantile)) + 1e-12
        yield (
            f"just below z = {quantile:g}, one rival",
            [1 - failure, failure],
            number,
        )
    for num in range(2, 7):
        yield f"{num} classes that tie", [1 / num] * num, 0
        rest = 0.5 / (num - 1)
        yield f"a half, and {num - 1} classes that share", [0.5] + [rest] * (num - 1), 0


def rows(num_images: int) -> Iterator[list[str]]:
    """Yield the share of false certificates of each rule and case."""
    limit = ALPHA + 4 * math.sqrt(ALPHA / num_images)
    for rule in RULES:
        table = table_of(rule)
        for told, chances, radii in cases():
            given = rule in ("fixed", "peeking")
            if given and "z =" not in told:
                continue
            share = false_share(chances, table, num_images, radii, given=given)
            exact = ""
            if not given and "z =" in told:
                exact = f"{table.crossing_probability[radii] / ALPHA:.2f}"
            holds = "yes" if share <= limit else "no"
            yield [rule, told, f"{share / ALPHA:.2f}", exact, holds]
    share = false_share([0.5, 0.5], table_of("fixed"), num_images, 0)
    holds = "yes" if share <= limit else "no"
    told = "2 classes that tie, the class picked on the same votes"
    yield ["fixed", told, f"{share / ALPHA:.2f}", "", holds]


def main() -> None:
    """Print the table, and keep it if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    lines = [f"| {' | '.join(HEADER)} |", "|" + " --- |" * len(HEADER)]
    for line in rows(told.images):
        lines.append(f"| {' | '.join(line)} |")
        logger.info("%s", lines[-1])
    if told.write:
        more = {"images of each line": f"{told.images:,}", "alpha": f"{ALPHA:g}"}
        made = heading("# False certificates of each rule", more)
        path = Path(__file__).parent / file_name("coverage")
        text = "\n".join([*lines, ""])
        path.write_text(f"{made}\n{text}\n{_NOTE}\n")


_NOTE = """\
Holds: at most alpha and four standard errors. Exact: the crossing probability that the
table was built for, without giving up, which only lowers it. Fixed looks once after
N = 10,000 votes, with the class given; peeking looks up the same plain bound whenever
the sequential rule would look. Under a tie no certificate is right."""


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
