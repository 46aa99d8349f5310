"""Training images as they are certified."""

from collections.abc import Callable
from typing import Literal

from jaxtyping import Int64, UInt8
from numpy import ndarray
from pydantic import BaseModel

Pixels = UInt8[ndarray, "height width channel"]
Words = Int64[ndarray, "4"]


class Nothing(BaseModel, frozen=True, extra="forbid"):
    """No augmentation: an image looks the same in every pass over the data."""

    kind: Literal["nothing"] = "nothing"

    def open(self) -> Callable[[Pixels, Words], Pixels]:
        """Return the function that returns its image."""
        return lambda image, _: image
