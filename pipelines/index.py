"""What casting needs to know of the votes that are there."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipelines.ledger_index import LedgerIndex


class Index(Protocol):
    """Of one ledger, or of several that one pass fills."""

    @property
    def num_rows(self) -> int:
        """Rows read; more than the blocks there are if some were found twice."""
        ...

    @property
    def conditions(self) -> Mapping[str, list[int]]:
        """Conditions under which votes were made, by their JSON."""
        ...

    def refresh(self) -> None:
        """Read what is new."""
        ...

    def num_votes(self, block: int) -> int:
        """Return how many copies have voted, for a class or for none."""
        ...

    def one_with(self, conditions: Sequence[str]) -> "tuple[str | None, LedgerIndex]":
        """Return one ledger that holds votes made under some of these conditions.

        Returns:
            Its folder, ``None`` where there is but one ledger, and its index.
        """
        ...
