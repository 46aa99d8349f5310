"""Purification by one call of a consistency model."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import nn

from ops.columns import Worker
from ops.networks import place, read_weights, to_network
from ops.pixels import to_signed, to_unit
from ops.purify.class_label import (
    Classes,
    Label,
    NoLabel,
    append_averaged_class,
    num_classes_of,
)
from ops.purify.consistency_scalings import (
    ConsistencySettings,
    Network,
    consistency_function,
)
from ops.purify.consistency_settings import settings_of
from ops.purify.filled_unet import filled_unet
from ops.purify.purifying import Images, Purifying
from ops.purify.unet import (
    assemble_unet,
    refuse_openai_layout,
    require_indexable,
)
from ops.weights import Weights, WeightsRef

Labelled = Callable[[Classes | None], Network]
"""Classes of copies, ``None`` for an unconditional network -> the network at them."""


class Consistency(Purifying, frozen=True, extra="forbid"):
    """Send a copy along the flow of a diffusion to a clean image, in one call.

    Where a denoiser returns the mean of the images that may be behind a noisy one, a
    consistency model returns one of them.

    Source:
        Consistency Purification: Li et al. 2024, arXiv:2407.00623, section 3; Song et
        al. 2023, arXiv:2303.01469. Differs: the result stays in floating point and is
        cut to the range of pixels, where their code makes bytes of it without a cut.
    """

    kind: Literal["consistency"] = "consistency"

    weights: WeightsRef
    """Weights of a UNet2DModel with the scheduler of a consistency model."""

    unet: dict[str, Any] | None = None
    """Arguments of ``diffusers.UNet2DModel``; ``None`` takes them from the weights."""

    model: ConsistencySettings | None = None
    """What it was trained for; ``None`` takes it from the weights' scheduler."""

    level: Literal["nearest", "continuous"] = "nearest"
    """Which level the network is told: the nearest to twice sigma of those it was
    trained at, or twice sigma itself."""

    label: Label = NoLabel()
    """What a class-conditional network is told of the class."""

    clip: bool = True
    """Whether purified copies are cut to the range of pixels."""

    def calls_at(self, sigma: float) -> int:
        """Return the calls of the network for each noisy copy.

        Args:
            sigma: std of the certified noise in [0, 1] pixels, above 0.

        Raises:
            ValueError: the model of the recipe does not know this noise.
        """
        if self.model is not None:
            self.level_at(self.model, sigma)
        return super().calls_at(sigma) + self.label.further_calls

    def open(self, worker: Worker, sigma: float) -> Callable[[Images], Images]:
        """Load the network and return the purifying function.

        Args:
            worker: where to compute, and what reads the weights.
            sigma: std of the certified noise in [0, 1] pixels, above 0.

        Returns:
            A function from noisy copies to purified ones, float32, of the [0, 1] range;
            NaN where a guessed class is none.

        Raises:
            ValueError: settings are missing, weights do not fit or are not those that
                were converted, the model does not know this noise, or the network's
                classes and ``label`` do not go together.
        """
        weights = read_weights(self.weights, worker)
        refuse_openai_layout(weights)
        settings = self.settings(weights)
        level = self.level_at(settings, sigma)
        network = self._network(weights)
        num_classes = num_classes_of(network, weights.source)
        tell = self.label.open(num_classes, worker, weights.source)
        if num_classes is not None:
            append_averaged_class(network)
        at = _labelled(network, worker)

        def purified(noisy: Images, classes: Classes | None) -> Images:
            levels = torch.full((len(noisy),), level, device=noisy.device)
            function = consistency_function(at(classes), levels, settings)
            clean = function(to_signed(noisy))
            return to_unit(clean.clamp(-1.0, 1.0) if self.clip else clean)

        def averaged(noisy: Images) -> Images:
            assert num_classes is not None  # only a network of classes is told any
            classes = torch.full((len(noisy),), num_classes, device=noisy.device)
            return purified(noisy, classes)

        if tell is None:
            return lambda noisy: purified(noisy, None)
        return lambda noisy: purified(noisy, tell(noisy, averaged))

    def settings(self, weights: Weights) -> ConsistencySettings:
        """Return what the model was trained for.

        Args:
            weights: whose scheduler is read where the recipe says nothing.

        Raises:
            ValueError: neither says it.
        """
        if self.model is not None:
            return self.model
        return settings_of(weights.config.get("scheduler", {}), weights.source)

    def level_at(self, settings: ConsistencySettings, sigma: float) -> float:
        """Return the level that the network is told, a std on the [-1, 1] range.

        Args:
            settings: of the model.
            sigma: std of the certified noise in [0, 1] pixels, above 0.

        Raises:
            ValueError: the model does not know this noise.

        Source:
            Consistency Purification, Li et al. 2024, arXiv:2407.00623, section 3: the
            level whose interval between midpoints holds the noise, which is the nearest
            one. Their sigma there is the std on the [-1, 1] range.
        """
        grid, level = settings.levels(), 2.0 * sigma
        nearest = grid.values()[grid.nearest(level)]
        if self.level == "nearest":
            return float(nearest)
        if level < settings.lowest:
            raise ValueError(
                f"level continuous needs a sigma of at least "
                f"{settings.lowest / 2:.4g}, half the model's lowest level; sigma is "
                f"{sigma:.4g}. Take a larger sigma, or level: nearest."
            )
        return level

    def _network(self, weights: Weights) -> nn.Module:
        def assemble(
            settings: Mapping[str, Any], heads: Mapping[str, int] | None
        ) -> nn.Module:
            network = assemble_unet(settings, heads)
            _require_equal_channels(network, weights.source)
            return network

        return filled_unet(
            self.weights,
            weights,
            self.unet,
            asked_by="A consistency purifier",
            assemble=assemble,
        )


def _require_equal_channels(network: nn.Module, source: str) -> None:
    config: Any = network.config
    if config["in_channels"] != config["out_channels"]:
        raise ValueError(
            f"A consistency purifier needs as many channels out as in; the network "
            f"of {source} has {config['in_channels']} in and "
            f"{config['out_channels']} out. Take weights of a consistency model."
        )


def _labelled(network: nn.Module, worker: Worker) -> Labelled:
    settings: Any = network.config
    placed = place(network, worker)

    def at(classes: Classes | None) -> Network:
        def call(scaled: Images, time: torch.Tensor) -> torch.Tensor:
            require_indexable(scaled, settings)
            told = {} if classes is None else {"class_labels": classes.clamp_min(0)}
            (output,) = placed(
                to_network(scaled, worker), time, return_dict=False, **told
            )
            output = output.float()
            if classes is None:
                return output
            return torch.where((classes < 0).view(-1, 1, 1, 1), torch.nan, output)

        return call

    return at
