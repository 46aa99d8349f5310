"""Certify radii while votes come in: a table is looked up, and images stop early."""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64


@dataclass(frozen=True)
class Table:
    """What is certified, given up or gone on with, at every look."""

    radii: Float64[np.ndarray, " radius"]
    """l2 distances in [0, 1] pixels, ascending; the first is 0, a majority."""

    looks: Int64[np.ndarray, " look"]
    """Numbers of votes at which one looks, ascending."""

    certify: Int64[np.ndarray, "radius look"]
    """Failures with which a radius is certified, at most; -1 where never."""

    give_up: Int64[np.ndarray, "radius look"]
    """Failures with which a radius is still hoped for, at most."""

    crossing_probability: Float64[np.ndarray, " radius"]
    """Exact chance that a radius is certified which just does not hold."""

    on_label: bool = False
    """Whether images are given up for which the label cannot be certified."""

    anytime: bool = False
    """Whether the certified counts hold at any number of votes, not at looks only."""

    def up_to(self, num_radii: int) -> "Table":
        """Return the table of the smallest radii alone, of which no count is another.

        Args:
            num_radii: at least 1.
        """
        return replace(
            self,
            radii=self.radii[:num_radii],
            certify=self.certify[:num_radii],
            give_up=self.give_up[:num_radii],
            crossing_probability=self.crossing_probability[:num_radii],
        )


@dataclass(frozen=True)
class Standing:
    """How far some images have come."""

    latched_class: Int64[np.ndarray, " row"]
    """Class that was certified to have the majority; -1 where none was so far."""

    num_radii: Int64[np.ndarray, " row"]
    """Radii certified, from the smallest."""

    num_votes: Int64[np.ndarray, " row"]
    """Votes that were read, all classes and none together."""

    stopped: Bool[np.ndarray, " row"]
    """Whether no further vote is asked for."""

    gave_up: Bool[np.ndarray, " row"]
    """Whether it stopped because going on seemed not worth it."""


def nothing_read(num_rows: int) -> Standing:
    """Return the standing of images that have no votes yet."""
    zeros = np.zeros(num_rows, np.int64)
    return Standing(zeros - 1, zeros, zeros, zeros.astype(bool), zeros.astype(bool))


def rows_of(standing: Standing, rows: Int64[np.ndarray, " some"]) -> Standing:
    """Return the standing of some images.

    Args:
        standing: of all.
        rows: of those wanted.
    """
    return Standing(*(getattr(standing, f.name)[rows] for f in fields(Standing)))


def with_rows(
    standing: Standing, rows: Int64[np.ndarray, " some"], found: Standing
) -> Standing:
    """Return a standing in which some images have come further.

    Args:
        standing: of all.
        rows: of those that are replaced.
        found: how far they are now.
    """
    columns = {f.name: getattr(standing, f.name).copy() for f in fields(Standing)}
    for name, column in columns.items():
        column[rows] = getattr(found, name)
    return Standing(**columns)


def look(
    standing: Standing,
    votes: Int64[np.ndarray, "row class"],
    table: Table,
    number: int,
    *,
    label: Int64[np.ndarray, " row"] | None = None,
) -> Standing:
    """Return the standing after one more look at the first votes of each image.

    The class with the majority is latched once and for all; larger radii are tested
    for it alone, each only if the smaller ones hold. So every radius has the whole
    chance of error, and the class needs no votes of its own: a wrong latch is paid for
    by the smaller level of the first radius.

    Args:
        standing: after the look before.
        votes: of the first ``table.looks[number]`` draws; draws without a class are
            missing here and count as failures. Rows that stopped are not read.
        table: of the images' sigma.
        number: of the look.
        label: class for which an image is given up, instead of the one with the most
            votes; it decides only when to stop.

    Source:
        Fixed-sequence testing, Maurer, Hothorn and Lehmacher 1995. The class is latched
        on the same votes: if one class has more than half of the probability, all
        others together are one of less than half; if none has, they form three groups
        of at most half each, and a group is latched as rarely as the first level says.
    """
    draws, going = int(table.looks[number]), ~standing.stopped
    first = votes.argmax(axis=1)
    chosen = np.where(standing.latched_class < 0, first, standing.latched_class)
    failures = draws - _votes_of(votes, chosen)
    num_radii = _certified(standing.num_radii, failures, table.certify[:, number])
    latched = np.where(num_radii > 0, chosen, -1)
    hoped = chosen if label is None else label
    following = np.minimum(num_radii, len(table.radii) - 1)
    too_many = draws - _votes_of(votes, hoped) > table.give_up[following, number]
    hopeless = too_many | ((latched >= 0) & (latched != hoped))
    enough, last = num_radii == len(table.radii), number == len(table.looks) - 1
    now = Standing(
        latched_class=latched,
        num_radii=num_radii,
        num_votes=np.full(len(votes), draws),
        stopped=enough | hopeless | last,
        gave_up=hopeless & ~enough,
    )
    return _where(going, now, standing)


def _where(choice: np.ndarray, one: Standing, other: Standing) -> Standing:
    """Return some rows of one standing and the rest of another."""
    pairs = ((getattr(one, f.name), getattr(other, f.name)) for f in fields(Standing))
    return Standing(*(np.where(choice, *pair) for pair in pairs))


def _certified(
    num_radii: np.ndarray, failures: np.ndarray, most: np.ndarray
) -> np.ndarray:
    """Return how many radii are certified now, each only after all smaller ones.

    Args:
        num_radii: before.
        failures: of the latched class, or of the one with the most votes.
        most: failures that certify at this look, by radius.
    """
    found = num_radii
    for number, certifies in enumerate(most.tolist()):
        found = found + ((found == number) & (failures <= certifies))
    return found


def _votes_of(votes: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return votes[np.arange(len(votes)), chosen]
