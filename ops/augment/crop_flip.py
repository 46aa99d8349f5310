"""Random crops of padded images, and mirror images."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8
from numpy import ndarray
from pydantic import BaseModel, NonNegativeInt

Pixels = UInt8[ndarray, "height width channel"]
Words = Int64[ndarray, "4"]


class CropFlip(BaseModel, frozen=True, extra="forbid"):
    """Pad with black, crop at random to the old size, mirror every other image.

    Source:
        He et al. 2016, arXiv:1512.03385, section 4.2: 4 pixels on CIFAR-10.
    """

    kind: Literal["crop_flip"] = "crop_flip"

    padding: NonNegativeInt = 4
    """Pixels by which an image may shift in each direction."""

    flip: bool = True
    """Whether every other image is mirrored; not for digits or text."""

    def open(self) -> Callable[[Pixels, Words], Pixels]:
        """Return the function of an image and its 256 random bits."""
        return self._moved

    def _moved(self, image: Pixels, words: Words) -> Pixels:
        num_shifts = 2 * self.padding + 1
        down, right = (int(word) % num_shifts for word in words[:2].view(np.uint64))
        around = (self.padding, self.padding)
        padded = np.pad(image, (around, around, (0, 0)))
        height, width = image.shape[:2]
        moved = padded[down : down + height, right : right + width]
        return moved[:, ::-1] if self.flip and words[2] < 0 else moved
