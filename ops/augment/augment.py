"""Every augmentation of training images a recipe can name."""

from typing import Annotated

from pydantic import Field

from ops.augment.crop_flip import CropFlip
from ops.augment.nothing import Nothing
from ops.augment.timm import Timm

Augment = Annotated[Nothing | CropFlip | Timm, Field(discriminator="kind")]
"""An image and random bits of its own in, an image out; chosen by ``kind``."""
