"""What a class-conditional purifier is told in place of the class nobody may tell it.

The true label is no choice: a base classifier that is told the answer is no function of
the noisy image alone, and what is counted certifies nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float32, Int64
from pydantic import BaseModel, BeforeValidator, Field
from torch import nn

from ops.classify.classifier import Classifier
from ops.columns import Worker

Images = Float32[torch.Tensor, "copy channel height width"]
Classes = Int64[torch.Tensor, " copy"]
Purified = Callable[[Images], Images]
Told = Callable[[Images, Purified], Classes]
"""Noisy copies, and their purification under the averaged class -> a class for each,
-1 where there is none."""

TRUE_LABELS = ("true_label", "true", "label")


class ClassLabel(BaseModel, ABC, frozen=True, extra="forbid"):
    """What stands for the class of a noisy copy."""

    kind: str
    """Which way."""

    @property
    def further_calls(self) -> int:
        """Calls of the purifier's network for each copy beside the one that counts."""
        return 0

    @abstractmethod
    def open(self, num_classes: int | None, worker: Worker, source: str) -> Told | None:
        """Load what is heavy and return what tells the classes.

        Args:
            num_classes: classes of the network, the averaged one not counted; ``None``
                for an unconditional network.
            worker: where to compute, and what reads the weights.
            source: what to call the weights in an error.

        Returns:
            A function to classes, of which ``num_classes`` is the averaged one;
            ``None`` for an unconditional network.

        Raises:
            ValueError: the network and this way do not go together.
        """


class NoLabel(ClassLabel, frozen=True, extra="forbid"):
    """The network knows no classes."""

    kind: Literal["none"] = "none"

    def open(self, num_classes: int | None, worker: Worker, source: str) -> Told | None:
        """Refuse a network that knows classes."""
        if num_classes is not None:
            raise ValueError(
                f"A consistency purifier needs to know what stands for the class in a "
                f"class-conditional network; {source} has {num_classes} classes and "
                f"label is none. Set `label` to {{kind: averaged}} or to {{kind: "
                f"guessed, classifier: ...}}; the true label is no choice, for it "
                f"voids the certificate."
            )
        return None


class AveragedLabel(ClassLabel, frozen=True, extra="forbid"):
    """The mean of all classes' embeddings stands for the class."""

    kind: Literal["averaged"] = "averaged"

    def open(self, num_classes: int | None, worker: Worker, source: str) -> Told | None:
        """Return what tells every copy the averaged class."""
        averaged = _required(num_classes, self.kind, source)

        def told(noisy: Images, purified: Purified) -> Classes:
            return torch.full((len(noisy),), averaged, device=noisy.device)

        return told


class GuessedLabel(ClassLabel, frozen=True, extra="forbid"):
    """A classifier's guess stands for the class.

    The guess is a function of the noisy copy alone, so it is part of the base
    classifier, and what is certified is right whether or not the guess is.
    """

    kind: Literal["guessed"] = "guessed"

    classifier: Classifier
    """What guesses; it tells apart the network's classes, in the same order."""

    look_at: Literal["noisy", "purified"] = "noisy"
    """What it looks at: the noisy copy, cut to the range of pixels, or the copy as
    purified under the averaged class, which costs one more call of the network."""

    @property
    def further_calls(self) -> int:
        """Calls of the purifier's network for each copy beside the one that counts."""
        return int(self.look_at == "purified")

    def open(self, num_classes: int | None, worker: Worker, source: str) -> Told | None:
        """Load the classifier and return what tells its guesses."""
        num = _required(num_classes, self.kind, source)
        if self.classifier.num_classes != num:
            raise ValueError(
                f"A guessed label needs a classifier of the network's {num} classes; "
                f"label.classifier has num_classes {self.classifier.num_classes}, and "
                f"the network is {source}. Take a classifier of the same classes."
            )
        classify = self.classifier.open(worker)

        def told(noisy: Images, purified: Purified) -> Classes:
            seen = purified(noisy) if self.look_at == "purified" else noisy
            scores = classify(seen.clamp(0.0, 1.0))
            missing = scores.isnan().any(dim=1)
            return torch.where(missing, -1, scores.argmax(dim=1))

        return told


def _required(num_classes: int | None, kind: str, source: str) -> int:
    if num_classes is None:
        raise ValueError(
            f"label {kind} needs a class-conditional network; {source} has no classes. "
            f"Drop `label`, or take other weights."
        )
    return num_classes


def _never_true(value: Any) -> Any:
    kind = value.get("kind") if isinstance(value, dict) else value
    if kind is True or kind in TRUE_LABELS:
        raise ValueError(
            f"label needs a way that does without the true label; it is {kind!r}. "
            f"Told the true label, the purifier gives the answer away: the base "
            f"classifier is then no function of the noisy image alone, and the "
            f"certificate is void. Set {{kind: averaged}} or {{kind: guessed, "
            f"classifier: ...}}."
        )
    return value


Label = Annotated[
    Annotated[NoLabel | AveragedLabel | GuessedLabel, Field(discriminator="kind")],
    BeforeValidator(_never_true),
]
"""Every way of doing without the true label; chosen by ``kind``."""


def num_classes_of(network: nn.Module, source: str) -> int | None:
    """Return how many classes a network knows; ``None`` if it is unconditional.

    Args:
        network: a ``diffusers.UNet2DModel``.
        source: what to call the weights in an error.

    Raises:
        ValueError: its classes have no table of embeddings to choose from.
    """
    settings: Any = network.config
    if settings["class_embed_type"] is not None:
        raise ValueError(
            f"A class-conditional purifier needs a table of classes, num_class_embeds; "
            f"{source} has class_embed_type {settings['class_embed_type']!r}. Take "
            f"other weights."
        )
    return settings["num_class_embeds"]


def append_averaged_class(network: nn.Module) -> None:
    """Give a class-conditional network one more class, the mean of all it has.

    Args:
        network: a filled ``diffusers.UNet2DModel`` with a table of classes; changed in
            place.
    """
    table = network.get_submodule("class_embedding").get_parameter("weight").detach()
    mean = table.double().mean(dim=0, keepdim=True).to(table.dtype)
    longer = nn.Embedding.from_pretrained(torch.cat([table, mean]))
    network.add_module("class_embedding", longer)
