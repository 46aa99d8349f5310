"""Whether every vote file is whole, named by what it holds, and of one identity."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from infra.object_store import Store
from infra.tables import from_bytes
from pipelines.canonical import differences
from pipelines.check import Check
from pipelines.findings import Findings
from pipelines.identity import vote_identity
from pipelines.in_order import in_order
from pipelines.ledger import (
    VOTES,
    first_name,
    is_merged,
    merged_from,
    name_of,
    vote_files,
)
from pipelines.merge import merged_name
from pipelines.recipe import Run, validated
from pipelines.verify_blocks import wrong_blocks

_READERS = 8


@dataclass(frozen=True)
class FilesSeen:
    """What the vote files are like, each by itself."""

    checks: tuple[Check, ...]

    countable: bool
    """Whether what they hold can be counted anew."""

    content: str
    """SHA-256 of their names and bytes, in hexadecimal."""


def look_at_files(store: Store, sigmas: Sequence[float]) -> FilesSeen:
    """Read every vote file once, one at a time.

    Args:
        store: of OUT.
        sigmas: of which OUT holds votes.
    """
    looks = _Looks(store)
    for sigma in sigmas:
        looks.at(sigma)
    return FilesSeen(tuple(looks.checks()), looks.countable, looks.content.hexdigest())


class _Looks:
    """What is found while one file after the other is read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._files = Findings(
            "vote files",
            "Put a copy of the file back, or delete it and run diffsmooth certify "
            "again: what it held is cast anew.",
        )
        self._identities = Findings(
            "vote identity", "Votes of several identities are no run; take them apart."
        )
        self._blocks = Findings(
            "blocks",
            "Somebody changed them: delete the file and run diffsmooth certify again.",
        )
        self._num_files = self._num_blocks = self._num_left = 0
        self._num_sigmas = 0
        self._readable = True
        self.content = hashlib.sha256()

    @property
    def countable(self) -> bool:
        """Whether all files can be read, and hold what can be."""
        return self._readable and self._blocks.all_right

    def at(self, sigma: float) -> None:
        """Look at the files of one sigma."""
        names = vote_files(self._store, sigma)
        identities: dict[str, str] = {}
        covered: set[str] = set()
        reads = in_order(self._bytes, names, _READERS)
        for name, data in zip(names, reads, strict=True):
            facts = self._file(name, data)
            covered.update(merged_from(facts))
            if "vote_identity" in facts:
                identities.setdefault(facts["vote_identity"], name)
        self._num_sigmas += 1
        self._num_left += len(covered & set(names))
        first, *others = identities.items() if identities else [("{}", "")]
        for identity, name in others:
            changed = differences(json.loads(first[0]), json.loads(identity))
            self._identities.wrong(f"{name} has another ({'; '.join(changed)})")

    def checks(self) -> list[Check]:
        """Return what was found in all files."""
        good = f"{self._num_files:,} whole, named by what they hold"
        checks = [self._files.check(good)]
        if self._num_left:
            found = f"{self._num_left:,} are there still that a merged one stands for"
            remedy = "diffsmooth compact removes them; nobody counts them."
            checks.append(Check("vote files left", "warn", found, remedy))
        return [
            *checks,
            self._identities.check(f"one at each of {self._num_sigmas} sigmas"),
            self._blocks.check(
                f"{self._num_blocks:,}, each with the votes of its copies"
            ),
        ]

    def _bytes(self, name: str) -> bytes | OSError:
        try:
            return self._store.read(name)
        except OSError as error:
            return error

    def _file(self, name: str, data: bytes | OSError) -> dict[str, str]:
        """Look at one file; return its facts, none if it cannot be read."""
        self._num_files += 1
        try:
            if isinstance(data, OSError):
                raise data
            self.content.update(f"{name} {hashlib.sha256(data).hexdigest()} ".encode())
            rows, facts = from_bytes(data, name)
            self._contents(name, rows, facts)
        except (ValueError, OSError, KeyError, IndexError, pa.ArrowException) as error:
            self._readable = False
            self._files.wrong(f"{name} cannot be read ({_reason(error)})")
            return {}
        return facts

    def _contents(self, name: str, rows: pa.Table, facts: dict[str, str]) -> None:
        if not rows.schema.equals(VOTES):
            raise ValueError("its columns are not those of votes")
        merged = is_merged(name)
        named = merged_name(merged_from(facts)) if merged else name_of(rows, facts)
        if named != first_name(name):
            self._files.wrong(f"{name} should be called {named} by what it holds")
        self._num_blocks += len(rows)
        for what in wrong_blocks(rows, _run_of(facts["recipe"])):
            self._blocks.wrong(f"{name}: {what}")
        for changed in _not_of_recipe(facts["recipe"], facts["vote_identity"]):
            self._identities.wrong(f"{name} says otherwise than its recipe: {changed}")


@lru_cache(maxsize=64)
def _run_of(recipe: str) -> Run:
    """Return the run that a vote file names."""
    return validated(Run, json.loads(recipe), "of the votes")


@lru_cache(maxsize=64)
def _not_of_recipe(recipe: str, identity: str) -> list[str]:
    """Return in what a vote file's identity is not that of the run it names."""
    return differences(vote_identity(_run_of(recipe)), json.loads(identity))


def _reason(error: BaseException) -> str:
    """Return why, in a few words."""
    first = str(error.__cause__ or error).strip().partition("\n")[0]
    return first.rstrip(".") or type(error).__name__
