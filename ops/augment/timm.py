"""The augmentations of timm: random resized crops, mirror images, RandAugment."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Int64, UInt8
from numpy import ndarray
from PIL import Image
from pydantic import BaseModel, Field, PositiveFloat, PositiveInt

from ops.global_noise import global_generators_at

Pixels = UInt8[ndarray, "height width channel"]
Crops = UInt8[ndarray, "size size channel"]
Words = Int64[ndarray, "4"]

_POLICIES = r"^(rand(-|$)|augmix(-|$)|originalr?(-|$)|v0r?(-|$)|3a(-|$))"
"""How the names of timm's policies begin."""


class Timm(BaseModel, frozen=True, extra="forbid"):
    """Crop at random and resize, mirror, and change colours as timm trains with.

    It takes images as they are stored, in place of the resize and crop of the
    certified ones.

    Source:
        ``timm.data.create_transform``; Cubuk et al. 2020, arXiv:1909.13719
        (RandAugment).
    """

    kind: Literal["timm"] = "timm"

    size: PositiveInt
    """Height and width of what comes out, in pixels."""

    least_area: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of an image that a crop keeps."""

    interpolation: Literal["bilinear", "bicubic", "random"] = "bilinear"
    """How crops are resized."""

    policy: Annotated[str, Field(pattern=_POLICIES)] | None = None
    """timm's name of a policy, such as ``rand-m9-mstd0.5-inc1``."""

    flip: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Chance of a mirror image."""

    jitter: PositiveFloat | None = None
    """Strength of changes in brightness, contrast and saturation; not with a policy."""

    def open(self) -> Callable[[Pixels, Words], Crops]:
        """Return the function of an image and its 256 random bits."""
        transform = self._transform()

        def augmented(image: Pixels, words: Words) -> Crops:
            with global_generators_at(int(words.view(np.uint64)[0])):
                made = np.asarray(transform(Image.fromarray(image.squeeze())))
            return made.reshape(self.size, self.size, image.shape[2])

        return augmented

    def _transform(self) -> Any:
        # Deferred: timm takes seconds to import, and a description needs none of it.
        from timm.data.transforms_factory import transforms_imagenet_train

        parts: Any = transforms_imagenet_train(
            self.size,
            scale=(self.least_area, 1.0),
            hflip=self.flip,
            color_jitter=self.jitter or 0.0,
            auto_augment=self.policy,
            interpolation=self.interpolation,
            mean=(0.0,),
            separate=True,  # the last part would make a normalised tensor
        )

        first, second, _ = parts

        def transform(image: Image.Image) -> Image.Image:
            return second(first(image))

        return transform
