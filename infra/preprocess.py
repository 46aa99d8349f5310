"""Resize and crop to the certified input, done by Pillow on 8-bit pixels.

The noise is added to what comes out of here, and a radius is a distance between two
such images: this is part of the threat model, and radii after different preprocessing
cannot be compared.
"""

import re
from dataclasses import dataclass
from typing import Any

from PIL import Image

INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
"""Pillow's filters by name; all but nearest are antialiased."""

_SIZE = "([1-9][0-9]*)"
_FILTER = f"({'|'.join(INTERPOLATIONS)})"
_RESIZE_CROP = re.compile(f"resize_crop:{_SIZE}:{_SIZE}:{_FILTER}")
_ADM_CENTER = re.compile(f"adm_center:{_SIZE}")
_SQUASH = re.compile(f"squash:{_SIZE}:{_FILTER}")


@dataclass(frozen=True)
class Unchanged:
    """The image as it is stored."""

    size: None = None
    """It keeps its own."""

    interpolation: None = None
    """It is not resized."""

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the same image."""
        return image


@dataclass(frozen=True)
class ResizeCrop:
    """Resize and CenterCrop of torchvision, on Pillow images.

    Source:
        Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, for ImageNet: 256, 224,
        bilinear.
    """

    shorter_side: int
    """Of the resized image, in pixels."""

    size: int
    """Height and width of the centre that is kept, in pixels."""

    interpolation: str
    """Of the resize, one of ``INTERPOLATIONS``."""

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the centre of an image, which is enlarged if it is too small."""
        shorter = min(image.size)
        width, height = (int(self.shorter_side * side / shorter) for side in image.size)
        image = image.resize((width, height), INTERPOLATIONS[self.interpolation])
        left, top = (round((side - self.size) / 2) for side in image.size)
        return image.crop((left, top, left + self.size, top + self.size))


@dataclass(frozen=True)
class AdmCenter:
    """The central square on which the ADM diffusion models were trained.

    Halved by a box filter while the shorter side is at least twice the size, then the
    shorter side to the size, bicubic, then the centre.

    Source:
        Dhariwal and Nichol 2021, arXiv:2105.05233: how their code reads images.
    """

    size: int
    """Height and width of the square, in pixels."""

    interpolation: str = "box, bicubic"
    """Of the halving and of the resize after it."""

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the centre of an image, which is enlarged if it is too small."""
        while min(image.size) >= 2 * self.size:
            width, height = image.size
            image = image.resize((width // 2, height // 2), Image.Resampling.BOX)
        scale = self.size / min(image.size)
        width, height = (round(side * scale) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - self.size) // 2, (height - self.size) // 2
        return image.crop((left, top, left + self.size, top + self.size))


@dataclass(frozen=True)
class Squash:
    """The whole image as a square, its shape lost.

    Source:
        Chen et al. 2024, arXiv:2402.02316, for ImageNet: 256.
    """

    size: int
    """Height and width of the square, in pixels."""

    interpolation: str
    """Of the resize, one of ``INTERPOLATIONS``."""

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return all of an image."""
        return image.resize((self.size, self.size), INTERPOLATIONS[self.interpolation])


Preprocess = Unchanged | ResizeCrop | AdmCenter | Squash


def preprocess_of(name: str) -> Preprocess:
    """Return what a name in a recipe stands for.

    Args:
        name: ``none``, ``resize_crop:RESIZE:CROP:INTERPOLATION``, ``cohen_224`` (short
            for ``resize_crop:256:224:bilinear``), ``adm_center:SIZE`` or
            ``squash:SIZE:INTERPOLATION``.

    Returns:
        A function from an image of 8 bits per channel to one of the same mode.

    Raises:
        ValueError: another text, or a crop larger than the image it is cut from, which
            torchvision would pad with black.
    """
    if name == "none":
        return Unchanged()
    if name == "cohen_224":
        return ResizeCrop(256, 224, "bilinear")
    if found := _ADM_CENTER.fullmatch(name):
        return AdmCenter(int(found[1]))
    if found := _SQUASH.fullmatch(name):
        return Squash(int(found[1]), found[2])
    if found := _RESIZE_CROP.fullmatch(name):
        return _resize_crop(int(found[1]), int(found[2]), found[3])
    raise ValueError(
        f"preprocess needs none, cohen_224, adm_center:SIZE, squash:SIZE:INTERPOLATION "
        f"or resize_crop:RESIZE:CROP:INTERPOLATION, with sizes in pixels and one of "
        f"{', '.join(INTERPOLATIONS)}; it is {name!r}. Write for example "
        f"adm_center:256 or resize_crop:256:224:bicubic."
    )


def require_preprocess(name: str) -> str:
    """Return the name of a preprocessing, refused as by :func:`preprocess_of`."""
    preprocess_of(name)
    return name


def certified_input(name: str) -> dict[str, Any]:
    """Return what the certified input is, for records.

    Args:
        name: as :func:`preprocess_of` takes it.

    Returns:
        ``preprocess``, the name; ``height`` and ``width`` in pixels and
        ``interpolation``, ``None`` where images are certified as they are stored.
    """
    preprocess = preprocess_of(name)
    return {
        "preprocess": name,
        "height": preprocess.size,
        "width": preprocess.size,
        "interpolation": preprocess.interpolation,
    }


def _resize_crop(shorter_side: int, size: int, interpolation: str) -> ResizeCrop:
    if size > shorter_side:
        raise ValueError(
            f"preprocess resize_crop needs a crop no larger than the resized shorter "
            f"side; it has a crop of {size} from {shorter_side}. Make RESIZE larger or "
            f"CROP smaller: there is nothing to certify in a border of zeros."
        )
    return ResizeCrop(shorter_side, size, interpolation)
