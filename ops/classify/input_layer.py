"""How a classifier's network wants its pixels."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float32
from pydantic import BaseModel, model_validator

Images = Float32[torch.Tensor, "copy channel height width"]
Numbers = tuple[float, ...]

PRESETS: dict[str, tuple[Numbers, Numbers]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar10_center": ((0.4914, 0.4822, 0.4465), ()),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "imagenet_center": ((0.485, 0.456, 0.406), ()),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Means and standard deviations by name; cifar10 as Cohen et al. have it. Without
standard deviations, the mean is all that is taken off."""

ROUNDING = 1e-6
"""Difference between two settings that float32 files may cause."""


class InputLayer(BaseModel, frozen=True, extra="forbid"):
    """What happens to pixels of the [0, 1] range before the first convolution.

    A checkpoint holds no trace of it, and a wrong one costs accuracy without an error:
    the SmoothAdv files for ImageNet and most for CIFAR-10 want ``center``, the MACER
    files ``none``, others ``normalize``. The names in ``PRESETS`` stand for
    ``normalize`` or ``center`` with their numbers.
    """

    kind: Literal["normalize", "center", "none"]
    """``(x - mean) / std``, ``x - mean`` or ``x``."""

    mean: Numbers = ()
    """Mean of each channel, in [0, 1] pixels; empty for none."""

    std: Numbers = ()
    """Standard deviation of each channel, in [0, 1] pixels; only for normalize."""

    @model_validator(mode="before")
    @classmethod
    def _takes_a_preset(cls, value: object) -> object:
        if not isinstance(value, str) or value == "none":
            return {"kind": "none"} if value == "none" else value
        if value not in PRESETS:
            raise ValueError(
                f"An input layer needs a kind or one of the names "
                f"{[*PRESETS, 'none']}; it is {value!r}. Name one of them."
            )
        mean, std = PRESETS[value]
        return {"kind": "normalize" if std else "center", "mean": mean, "std": std}

    @model_validator(mode="after")
    def _has_the_numbers_of_its_kind(self) -> "InputLayer":
        has = (len(self.mean) > 0, len(self.std) > 0)
        if has != (self.kind != "none", self.kind == "normalize"):
            raise ValueError(
                f"An input layer needs mean and std to normalize, mean alone to "
                f"center, neither for none; {self.kind!r} has mean {self.mean} and "
                f"std {self.std}. Give the numbers that go with the kind."
            )
        if self.kind == "normalize" and len(self.std) != len(self.mean):
            raise ValueError(
                f"An input layer needs one mean and one std per channel; there are "
                f"{len(self.mean)} and {len(self.std)}. Give as many of each."
            )
        if any(value <= 0 for value in self.std):
            raise ValueError(
                f"An input layer needs positive std; it has {self.std}. Give standard "
                f"deviations in [0, 1] pixels."
            )
        return self

    def open(self, device: torch.device) -> Callable[[Images], Images]:
        """Return the function on pixels.

        Args:
            device: where the images are.

        Returns:
            A function of float32 images, which refuses another number of channels.
        """
        if self.kind == "none":
            return _identity
        mean = torch.tensor(self.mean, device=device)[:, None, None]
        std = torch.tensor(self.std, device=device)[:, None, None]

        def shift(image: Images) -> Images:
            self._require_channels(image)
            return (image - mean) / std if self.kind == "normalize" else image - mean

        return shift

    def _require_channels(self, image: Images) -> None:
        if image.shape[1] != len(self.mean):
            raise ValueError(
                f"An input layer with {len(self.mean)} means needs images of as many "
                f"channels; the image has {image.shape[1]}. Give one mean per channel."
            )

    def require_said_by(self, config: Mapping[str, Any], source: str) -> None:
        """Refuse weights whose file says they were trained behind another layer.

        Args:
            config: what the file says; nothing is checked where it is silent.
            source: what to call the file in an error.

        Raises:
            ValueError: kind, mean or std differ.
        """
        said = {
            "kind": config.get("input", self.kind),
            "mean": tuple(config.get("mean", self.mean)),
            "std": tuple(config.get("std", self.std)),
        }
        for name, value in said.items():
            here = getattr(self, name)
            if not _same(here, value):
                raise ValueError(
                    f"The classifier's input layer needs {name} {value}, with which "
                    f"{source} was trained; the recipe has {here}. Set the "
                    f"classifier's input to what the file says."
                )


def _identity(image: Images) -> Images:
    return image


def _same(here: str | Numbers, said: str | Numbers) -> bool:
    if isinstance(here, str) or isinstance(said, str):
        return here == said
    pairs = zip(here, said, strict=False)
    return len(here) == len(said) and all(abs(a - b) <= ROUNDING for a, b in pairs)
