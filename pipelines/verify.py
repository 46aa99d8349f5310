"""Recount everything an OUT holds, and vote some of its blocks again."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from infra.object_store import Store, open_store
from pipelines.check import Check
from pipelines.ledger import stored_sigmas
from pipelines.recount import Recount, recount
from pipelines.verify_again import vote_again
from pipelines.verify_duplicates import look_at_duplicates
from pipelines.verify_files import FilesSeen, look_at_files
from pipelines.verify_results import look_at_results

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what it comes to."""

    checks: tuple[Check, ...]

    proof: str = ""
    """What the blocks that were voted again prove; empty if none were."""

    @property
    def holds(self) -> bool:
        """Whether nothing failed."""
        return all(check.status != "fail" for check in self.checks)

    @property
    def verdict(self) -> str:
        """What it comes to, in one line."""
        failed = [check.name for check in self.checks if check.status == "fail"]
        told = f"Does not hold: {', '.join(failed)}." if failed else "Everything holds."
        return f"{told} {self.proof}".rstrip()


def verify(uri: str, *, num_again: int = 0) -> Verified:
    """Recount the votes of an OUT, and hold all that it says of them to that.

    Args:
        uri: OUT of a run that is not under way.
        num_again: blocks to vote again, at most all; 0 for none.

    Raises:
        ValueError: OUT holds no votes, or a negative number was asked for.
    """
    store = open_store(uri)
    sigmas = stored_sigmas(store)
    if not sigmas:
        raise ValueError(
            f"verify needs an OUT of diffsmooth certify; {store.url} has no votes. "
            f"Check the path, or run diffsmooth certify there."
        )
    if num_again < 0:
        raise ValueError(
            f"verify needs a number of blocks of at least 0; --recompute has "
            f"{num_again}. Take 100."
        )
    logger.info("Reading every vote file of %s.", store.url)
    seen = look_at_files(store, sigmas)
    if not seen.countable:
        found, remedy = "not made while vote files are broken", "Mend them first."
        return Verified((*seen.checks, Check("recount", "fail", found, remedy)))
    return _recounted(store, seen, num_again)


def _recounted(store: Store, seen: FilesSeen, num_again: int) -> Verified:
    logger.info("Counting its votes anew.")
    try:
        counted = recount(store)
        checks = [
            *seen.checks,
            look_at_duplicates(store, counted.indexes),
            *look_at_results(counted),
        ]
    except (ValueError, OSError) as error:
        return Verified((*seen.checks, _refused("recount", error)))
    if not num_again:
        return Verified(tuple(checks))
    return _voted_again(counted, checks, seen.content, num_again)


def _voted_again(
    counted: Recount, checks: Sequence[Check], seed: str, num: int
) -> Verified:
    logger.info("Voting %d blocks again.", num)
    try:
        check, proof = vote_again(counted, seed, num)
    except (ValueError, OSError) as error:
        return Verified((*checks, _refused("votes cast again", error)))
    return Verified((*checks, check), proof)


def _refused(name: str, error: Exception) -> Check:
    """Return a refusal as a line: what is wrong, and the sentence that mends it."""
    what, _, remedy = str(error).rpartition(". ")
    return Check(name, "fail", what or str(error), remedy if what else "")
