"""The handwritten digits that come with scikit-learn: 1,797 images of 8x8 pixels."""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
from pydantic import BaseModel

from infra.sources.entry import Entry, checked

_SHARES = {"test": 0.35, "tune": 0.10}
"""Share of each split; ``train`` is the rest."""


class Digits(BaseModel, frozen=True, extra="forbid"):
    """Grey 8x8 digits; splits are fixed by a hash of each image's key.

    Classes are the digits 0 to 9. Pixels are ``round(255 v / 16)`` of the stored
    intensities v in 0..16. ``test`` has 619 images, ``tune`` 177, ``train`` 1,001.

    Source:
        Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI.
    """

    source: Literal["digits"] = "digits"

    split: Literal["train", "tune", "test"] = "test"
    """Part of the data set; no image is in two."""

    dataset: str | None = None
    """Name under which results are reported; ``None`` stands for ``digits``."""

    @property
    def name(self) -> str:
        """Name under which results are reported."""
        return self.dataset or "digits"

    def entries(self) -> list[Entry]:
        """List the images of the split in the order of their keys."""
        _, labels = _digits()
        found = [
            Entry(key=_key(index), label=int(label), where=index)
            for index, label in enumerate(labels)
            if _split(_key(index)) == self.split
        ]
        return checked(found, f"digits split {self.split}")

    def read(self, entries: Sequence[Entry]) -> list[np.ndarray]:
        """Return the images as uint8 ``height width``, in the order asked for."""
        images, _ = _digits()
        return [images[entry.where] for entry in entries]


def _key(index: int) -> str:
    return f"digits_{index:04d}"


def _split(key: str) -> str:
    """Return the split a key belongs to, on any machine and in any order."""
    position = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())
    share = position / 2**64
    if share < _SHARES["test"]:
        return "test"
    return "tune" if share < _SHARES["test"] + _SHARES["tune"] else "train"


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Return all images as uint8 ``row height width``, and their labels."""
    # Deferred: scikit-learn takes a second to import.
    from sklearn.datasets import load_digits

    intensities, labels = load_digits(return_X_y=True)
    images = np.rint(255 * np.asarray(intensities) / 16).astype(np.uint8)
    images = images.reshape(-1, 8, 8)
    images.flags.writeable = False
    return images, np.asarray(labels)
