"""Which blocks of one sigma can be seen, and in which files; it holds no votes."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store
from infra.tables import from_bytes
from ops.vote.streams import num_copies
from pipelines.ledger import is_merged, merged_from, precedence, vote_files
from pipelines.seen_blocks import SeenBlocks
from pipelines.seen_images import SeenImages
from pipelines.vote_rows import distinct, opened

NONE = "{}"
"""Conditions of a block that no network has seen."""

_COLUMNS = [
    "image_key",
    "label",
    "stream",
    "block",
    "seconds",
    "image_sha256",
    "failure",
    "conditions",
]
_FILES_AT_ONCE = 512
_FILES_KEPT = 100
_READERS = 16
_LISTINGS = 100
"""Times the files are listed anew while others merge them."""


class LedgerIndex:
    """What a driver knows of one sigma's votes: about 150 bytes an image and a file.

    Reads every column but the counts, once; :meth:`refresh` reads only new files.
    """

    def __init__(self, store: Store, ledger: float | str) -> None:
        """Read what there is.

        Args:
            store: of OUT.
            ledger: a sigma, or the folder of another ledger.
        """
        self._store, self._ledger = store, ledger
        self._clear()
        self.refresh()

    def _clear(self) -> None:
        self.files: list[str] = []
        """Names of the files that count, by their number."""
        self.codes: dict[str, int] = {}
        """Number of each image that has votes, by key."""
        self.metadata: tuple[dict[str, str], ...] = ()
        """Different facts of the files."""
        self.conditions: dict[str, list[int]] = {}
        """Numbers of some files that hold votes made under each condition."""
        self.failures: dict[str, str] = {}
        """Why images failed, by key, for those that did."""
        self.num_differing = 0
        """Blocks that were found twice and different when files were merged."""
        self.num_rows = 0
        """Rows read; more than the blocks there are if some were found twice."""
        self._seen: set[str] = set()
        self._covered: set[str] = set()
        self._blocks = SeenBlocks()
        self._pairs: list[np.ndarray] = []
        self._images = SeenImages()

    def refresh(self) -> None:
        """Read the files that are new; all again if some were merged meanwhile.

        Raises:
            ValueError: a file cannot be read.
        """
        for _ in range(_LISTINGS):
            listed = vote_files(self._store, self._ledger)
            merged = any(is_merged(name) for name in self._unknown(listed))
            if merged or not self._seen <= set(listed):
                self._clear()
            try:
                self._read_new(self._unknown(listed))
            except FileNotFoundError:
                self._clear()
                continue
            return
        raise OSError(
            f"A ledger needs to stand still for a moment; files of {self._store.url} "
            f"vanished {_LISTINGS} times while they were read. Wait until it is merged."
        )

    def present(self, keys: Sequence[str], stream: str, num_blocks: int) -> np.ndarray:
        """Return which blocks of some images are there.

        Args:
            keys: of the images.
            stream: whose blocks.
            num_blocks: the prefix ``[0, num_blocks)`` is looked at.

        Returns:
            bool ``image block``.
        """
        codes = np.array([self.codes.get(key, -1) for key in keys], np.int64)
        return self._blocks.present(codes, stream, num_blocks)

    def num_blocks(self) -> dict[str, int]:
        """Return how many different blocks there are, by stream."""
        return self._blocks.num_blocks()

    def num_votes(self, block: int) -> int:
        """Return how many copies have voted, for a class or for none.

        Args:
            block: copies in a block.
        """
        blocks = self.num_blocks().items()
        return sum(num * num_copies(stream, block) for stream, num in blocks)

    def one_with(self, conditions: Sequence[str]) -> "tuple[None, LedgerIndex]":
        """Return itself: there is but one ledger.

        Args:
            conditions: of votes that are asked for.
        """
        return None, self

    def keys_with(self, streams: Iterable[str]) -> list[str]:
        """Return the keys of the images that have votes in one of some streams."""
        voted = self._blocks.images_with(streams)
        return [key for key, code in self.codes.items() if code in voted]

    def files_of(self, keys: Sequence[str]) -> list[list[str]]:
        """Return the files that hold each image's votes, in the order they count."""
        pairs = np.unique(np.concatenate([_NO_PAIRS, *self._pairs]))
        self._pairs = [pairs]
        images, files = pairs >> 32, pairs & 0xFFFFFFFF
        codes = np.array([self.codes.get(key, -1) for key in keys], np.int64)
        starts = np.searchsorted(images, codes, "left")
        ends = np.searchsorted(images, codes, "right")
        return [
            sorted((self.files[n] for n in files[start:end]), key=precedence)
            for start, end in zip(starts, ends, strict=True)
        ]

    def images(self) -> pa.Table:
        """Return the images that have votes, sorted by key.

        Returns:
            ``image_key``, ``label``, ``image_sha256`` and ``seconds``, of the device;
            an image has several rows if its labels or digests differ.
        """
        return self._images.table().sort_by("image_key")

    def _unknown(self, listed: Iterable[str]) -> list[str]:
        """Return the files that are neither read nor stood for by another."""
        known = self._seen | self._covered
        return [name for name in listed if name not in known]

    def _read_new(self, new: Sequence[str]) -> None:
        merged = [name for name in new if is_merged(name)]
        for name in merged:
            with opened(self._store, name) as (_, facts):
                self._covered.update(merged_from(facts))
        for name in merged:
            if name not in self._covered:
                self._read_merged(name)
        with ThreadPoolExecutor(_READERS) as pool:
            for names in _parts(self._unknown(new), _FILES_AT_ONCE):
                found = list(pool.map(self._read_small, names))
                numbers = [self._number(name) for name in names]
                counts = [len(table) for table, _ in found]
                self._add(
                    pa.concat_tables([table for table, _ in found]),
                    np.repeat(np.array(numbers, np.int64), counts),
                )
                self.metadata = distinct([*self.metadata, *(f for _, f in found)])

    def _read_small(self, name: str) -> tuple[pa.Table, dict[str, str]]:
        data = self._store.read(name)
        return from_bytes(data, f"{self._store.url}/{name}", columns=_COLUMNS)

    def _read_merged(self, name: str) -> None:
        with opened(self._store, name) as (file, facts):
            self.num_differing += int(facts.get("merged_differing", 0))
            self.metadata = distinct([*self.metadata, facts])
            number = self._number(name)
            for batch in file.iter_batches(columns=_COLUMNS):
                table = pa.Table.from_batches([batch])
                self._add(table, np.full(len(table), number, np.int64))

    def _number(self, name: str) -> int:
        self._seen.add(name)
        self.files.append(name)
        return len(self.files) - 1

    def _add(self, rows: pa.Table, files: np.ndarray) -> None:
        """Take notice of some rows, and of the number of the file each is in."""
        if not len(rows):
            return
        self.num_rows += len(rows)
        images = self._codes_of(rows["image_key"])
        self._pairs.append(np.unique(images << 32 | files))
        for stream in pc.unique(rows["stream"]).to_pylist():
            own = pc.equal(rows["stream"], stream).to_numpy()
            blocks = rows["block"].to_numpy()
            self._blocks.add(stream, images[own], blocks[own])
        for conditions in set(pc.unique(rows["conditions"]).to_pylist()) - {NONE}:
            own = pc.equal(rows["conditions"], conditions).to_numpy()
            known = self.conditions.setdefault(conditions, [])
            fresh = [n for n in np.unique(files[own]).tolist() if n not in known]
            known.extend(fresh[: _FILES_KEPT - len(known)])
        failed = rows.filter(pc.is_valid(rows["failure"]))
        for row in failed.select(["image_key", "failure"]).to_pylist():
            self.failures.setdefault(row["image_key"], row["failure"])
        self._images.add(rows)

    def _codes_of(self, keys: pa.ChunkedArray) -> np.ndarray:
        encoded = keys.combine_chunks().dictionary_encode()
        own = [
            self.codes.setdefault(key, len(self.codes))
            for key in encoded.dictionary.to_pylist()
        ]
        return np.array(own, np.int64)[encoded.indices.to_numpy()]


_NO_PAIRS = np.empty(0, np.int64)


def _parts(names: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(names)
    while part := list(islice(rest, size)):
        yield part
