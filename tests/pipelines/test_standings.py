# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from votes_made import blocks_of_image

from ops.certify.looks import look, nothing_read
from ops.certify.sequential import Sequential, passes
from pipelines.ledger import VOTES
from pipelines.standings import Standings

BLOCK, CLASSES = 10, 5
TABLE = Sequential().table(0.25, 400, block=BLOCK, failure_probability=0.001, step=0.25)
LABELS = {f"image_{number}": number % CLASSES for number in range(30)}


def votes_of(seed: int) -> pa.Table:
    """Return all blocks of all images, some of them easy and some not."""
    rng, rows = np.random.default_rng(seed), []
    for number, key in enumerate(LABELS):
        right = 1 - 0.02 * number
        chances = np.full(CLASSES + 1, (1 - right) / CLASSES)
        chances[number % CLASSES] = right
        for block in range(TABLE.looks[-1] // BLOCK):
            counts = rng.multinomial(BLOCK, chances)
            sparse = [{"class": c, "count": int(counts[c])} for c in range(CLASSES)]
            rows += blocks_of_image(
                block,
                image=key,
                counts=[one for one in sparse if one["count"]],
                invalid=int(counts[CLASSES]),
            ).to_pylist()
    return pa.Table.from_pylist(rows, VOTES)


VOTES_OF_ALL = votes_of(0)


def new() -> Standings:
    return Standings(LABELS, TABLE, block=BLOCK, num_classes=CLASSES)


def told(standings: Standings) -> list[tuple]:
    one = standings.standing
    columns = (one.latched_class, one.num_radii, one.num_votes, one.stopped)
    counts = standings.counts(np.arange(len(LABELS)))
    return [*zip(*columns, map(tuple, counts), strict=True)]


def at_once() -> Standings:
    standings = new()
    standings.take(VOTES_OF_ALL)
    standings.advance()
    return standings


def one_by_one(key: str) -> tuple:
    """Return where one image ends if its votes are looked at as the rule says."""
    rows = VOTES_OF_ALL.filter(pc.equal(VOTES_OF_ALL["image_key"], key))
    counts = np.zeros((len(rows), CLASSES), np.int64)
    for row in rows.to_pylist():
        for entry in row["counts"]:
            counts[row["block"], entry["class"]] = entry["count"]
    standing = nothing_read(1)
    for number, draws in enumerate(TABLE.looks.tolist()):
        if not standing.stopped[0]:
            read = counts[: draws // BLOCK].sum(axis=0)
            standing = look(standing, read[None], TABLE, number)
            last = read
    found = (standing.latched_class, standing.num_radii, standing.num_votes)
    return (*(int(column[0]) for column in found), True, tuple(last.tolist()))


def test_every_image_ends_where_its_own_votes_say() -> None:
    assert told(at_once()) == [one_by_one(key) for key in LABELS]
    assert len({row[2] for row in told(at_once())}) > 5
    assert {row[1] for row in told(at_once())} >= {0, 1, 2}


@pytest.mark.parametrize("parts", [2, 7, 40])
def test_the_order_of_arrival_does_not_matter(parts: int) -> None:
    order = np.random.default_rng(parts).permutation(len(VOTES_OF_ALL))
    standings = new()

    for part in np.array_split(order, parts):
        standings.take(VOTES_OF_ALL.take(pa.array(part)))
        standings.advance()

    assert told(standings) == told(at_once())


def test_votes_that_come_again_change_nothing() -> None:
    standings = at_once()

    standings.take(VOTES_OF_ALL)
    standings.advance()

    assert told(standings) == told(at_once())


def test_a_gap_holds_an_image_up_and_only_it() -> None:
    rows = VOTES_OF_ALL.to_pylist()
    gap = [r for r in rows if not (r["image_key"] == "image_3" and r["block"] == 1)]
    standings = new()

    standings.take(pa.Table.from_pylist(gap, VOTES))
    standings.advance()

    assert standings.standing.num_votes[3] == BLOCK
    assert not standings.standing.stopped[3]
    assert standings.standing.stopped.sum() == len(LABELS) - 1
    assert standings.prefix[3] == 1


def test_votes_past_the_limit_are_not_read() -> None:
    standings = new()
    standings.take(VOTES_OF_ALL)

    standings.advance(np.full(len(LABELS), 3))

    assert standings.standing.num_votes.max() == 3 * BLOCK
    standings.advance()
    assert told(standings) == told(at_once())


def test_two_passes_end_where_one_does() -> None:
    first, whole = passes(TABLE, 0.1)
    assert 0 < len(first.radii) < len(whole.radii)
    standings = new()
    standings.begin(first)
    standings.take(VOTES_OF_ALL)

    standings.advance()
    between = standings.standing.num_votes.sum()
    standings.reopen(whole)
    standings.advance()

    assert told(standings) == told(at_once())
    assert between < standings.standing.num_votes.sum()


def streams(names: Sequence[str]) -> pa.Table:
    return pa.concat_tables(
        blocks_of_image(0, image="image_0", stream=name) for name in names
    )


def test_other_streams_and_images_are_passed_over() -> None:
    standings = new()

    standings.take(streams(["clean", "select", "predict"]))
    standings.take(blocks_of_image(0, 1, image="stranger"))
    standings.take(blocks_of_image(-1, 10**6, image="image_0"))
    standings.advance()

    assert standings.prefix.sum() == 0
    assert standings.standing.num_votes.sum() == 0
