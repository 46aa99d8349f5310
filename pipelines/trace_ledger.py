"""What there is of the traces that some families ask for."""

from collections.abc import Mapping, Sequence

import numpy as np

from infra.object_store import Store
from pipelines.families import Family
from pipelines.ledger import parquet_files
from pipelines.ledger_index import LedgerIndex
from pipelines.seen_images import require_same_images

_NUM = "m_"


def folder_of(above: str, num: int) -> str:
    """Return the folder of a family's ledger.

    Args:
        above: that of all numbers of the same local noises.
        num: local noises at most (m).
    """
    return f"{above}/{_NUM}{num}"


class TraceLedger:
    """The ledgers of some families, and of those that hold more local noises."""

    def __init__(self, store: Store, families: Sequence[Family]) -> None:
        self._store, self.families = store, tuple(families)
        self._indexes: dict[str, dict[int, LedgerIndex]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read what is new."""
        for above in {_above(family) for family in self.families}:
            known = self._indexes.setdefault(above, {})
            for num in _nums(self._store, above) | set(known):
                if num in known:
                    known[num].refresh()
                else:
                    known[num] = LedgerIndex(self._store, folder_of(above, num))

    @property
    def num_rows(self) -> int:
        """Rows in all ledgers."""
        return sum(index.num_rows for index in self._all())

    @property
    def conditions(self) -> Mapping[str, list[int]]:
        """Conditions under which traces were made; without the files that hold them."""
        return {one: [] for index in self._all() for one in index.conditions}

    def num_votes(self, block: int) -> int:
        """Return how many copies have votes, in each ledger.

        Args:
            block: copies in a block.
        """
        return sum(index.num_votes(block) for index in self._all())

    def one_with(self, conditions: Sequence[str]) -> tuple[str | None, LedgerIndex]:
        """Return one ledger that holds votes made under some of these conditions."""
        for above, known in self._indexes.items():
            for num, index in known.items():
                if index.conditions.keys() & set(conditions):
                    return folder_of(above, num), index
        raise KeyError(f"no traces made under {conditions}")

    def holding(self, family: Family) -> list[tuple[int, LedgerIndex]]:
        """Return the ledgers that may have a family's votes, with their local noises.

        Those of fewest noises come first.

        Args:
            family: one of these.
        """
        known = self._indexes.get(_above(family), {})
        return [(num, known[num]) for num in sorted(known) if num >= family.num]

    def lacking(self, keys: Sequence[str]) -> "TraceLedger | None":
        """Return the ledgers of the families that lack a block of some images.

        Args:
            keys: of the images.
        """
        some = [one for one in self.families if not self._whole(one, keys)]
        if not some:
            return None
        part = TraceLedger.__new__(TraceLedger)
        part._store, part.families = self._store, tuple(some)
        part._indexes = self._indexes
        return part

    def present(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Return which blocks have the votes of every family that wants them.

        Args:
            keys: of the images.

        Returns:
            bool ``image block`` by stream, as wide as the families want.
        """
        ends: dict[str, int] = {}
        for family in self.families:
            for stream, (_, end) in family.blocks.items():
                ends[stream] = max(end, ends.get(stream, 0))
        found = {s: np.ones((len(keys), end), bool) for s, end in ends.items()}
        for family in self.families:
            for stream, (first, end) in family.blocks.items():
                own = self._present(family, keys, stream, end)
                found[stream][:, first:end] &= own[:, first:]
        return found

    def require_same_images(self, digests: Mapping[str, str], where: str) -> None:
        """Refuse to add traces of an image whose content has changed.

        Args:
            digests: SHA-256 of each image asked for, by key.
            where: OUT, for the error.

        Raises:
            ValueError: one has changed.
        """
        for index in self._all():
            require_same_images(index.images(), digests, where)

    def _whole(self, family: Family, keys: Sequence[str]) -> bool:
        return all(
            self._present(family, keys, stream, end)[:, first:].all()
            for stream, (first, end) in family.blocks.items()
        )

    def _present(
        self, family: Family, keys: Sequence[str], stream: str, end: int
    ) -> np.ndarray:
        found = np.zeros((len(keys), end), bool)
        for _, index in self.holding(family):
            found |= index.present(keys, stream, end)
        return found

    def _all(self) -> list[LedgerIndex]:
        return [one for known in self._indexes.values() for one in known.values()]


def _above(family: Family) -> str:
    return family.folder.rpartition("/")[0]


def _nums(store: Store, above: str) -> set[int]:
    """Return the numbers of local noises of which there are traces."""
    folders = {name.rpartition("/")[0] for name in parquet_files(store, above)}
    names = {folder.rpartition("/")[2] for folder in folders}
    return {int(name.removeprefix(_NUM)) for name in names}
