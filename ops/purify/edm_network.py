"""U-Nets of EDM's own files as denoisers: which one, with what tensors, told what."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from pydantic import BaseModel, NonNegativeFloat, PositiveFloat, ValidationError

from ops.columns import Worker
from ops.networks import place, to_network
from ops.purify.denoiser import Denoiser, Images, karras_denoiser
from ops.purify.dhariwal_unet import DhariwalUnet, DhariwalUnetSettings
from ops.purify.edm_unet import EdmUnetSettings
from ops.purify.song_unet import SongUnet, SongUnetSettings
from ops.weights import Tensors, Weights, fit_weights

Label = Literal["none", "null_class"]
Network = SongUnet | DhariwalUnet

ARCHITECTURES = ("dhariwal_unet", "song_unet")
"""What ``arch`` says in the settings of such a file."""

HIGHEST_LEVEL = 80.0
"""Up to which noise preconditioned networks are trained where their file is silent."""

USUAL_SIGMA_DATA = 0.5
"""Std of clean pixels where the file of a preconditioned network is silent."""

OF_PRECONDITIONING = "model."
"""What names begin with in files that hold the network inside its preconditioning."""

OF_AUGMENTATION = ("map_augment.weight",)
"""Tensors that only training reads: they tell the network how an image was changed, and
nothing of one that was not."""


class Preconditioning(BaseModel, frozen=True, extra="forbid"):
    """What stands around the network; levels are of the [-1, 1] range."""

    sigma_data: PositiveFloat = USUAL_SIGMA_DATA
    """Std of clean images' pixels."""

    sigma_min: NonNegativeFloat = 0.0
    """Level down to which it was trained; no purifier's is refused for it."""

    sigma_max: PositiveFloat = HIGHEST_LEVEL
    """Level up to which it was trained."""


def is_edm_network(config: Mapping[str, Any]) -> bool:
    """Return whether the settings of a file are those of a U-Net of EDM's own.

    Args:
        config: what a file of weights says.
    """
    return config.get("arch") in ARCHITECTURES


def edm_network(weights: Weights) -> Network:
    """Return the network that a file holds, class-conditional ones too.

    Args:
        weights: whose ``arch`` is one of ``ARCHITECTURES`` and whose ``network`` holds
            its settings.

    Raises:
        ValueError: a setting is missing, unknown or out of range, or the tensors do not
            fit.
    """
    try:
        network = _built(weights.config["arch"], weights.config.get("network", {}))
    except ValidationError as error:
        raise _misfit(error, weights.source) from error
    tensors = _own_names(weights.tensors)
    fit_weights(network, Weights(weights.source, tensors, weights.config))
    return network


def _built(arch: str, settings: Mapping[str, Any]) -> Network:
    if arch == "song_unet":
        return SongUnet(SongUnetSettings.model_validate(settings))
    return DhariwalUnet(DhariwalUnetSettings.model_validate(settings))


def _misfit(error: ValidationError, source: str) -> ValueError:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "its settings"
    return ValueError(
        f"A U-Net of EDM needs settings that describe one; {source} has for {where} "
        f"{first['input']!r}: {first['msg']}. Take another file, or convert the "
        f"original again."
    )


def _own_names(tensors: Tensors) -> dict[str, torch.Tensor]:
    named = {key.removeprefix(OF_PRECONDITIONING): key for key in tensors}
    return {name: tensors[named[name]] for name in named if name not in OF_AUGMENTATION}


def edm_network_denoiser(weights: Weights, worker: Worker, label: Label) -> Denoiser:
    """Return the denoiser that a file of EDM's own holds.

    Args:
        weights: as for ``edm_network``; their ``preconditioning`` may hold
            ``sigma_data`` and ``sigma_max``.
        worker: where to compute.
        label: ``null_class`` tells a class-conditional network no class.

    Raises:
        ValueError: as for ``edm_network``; or the label does not suit the network.

    Source:
        Karras et al. 2022, arXiv:2206.00364, equation 7.
    """
    network = edm_network(weights)
    settings: EdmUnetSettings = network.settings
    _require_label(settings.label_dim, label, weights.source)
    told = preconditioning(weights)
    return karras_denoiser(
        _calling(network, weights.source, worker),
        sigma_data=told.sigma_data,
        highest=told.sigma_max,
        source=weights.source,
    )


def preconditioning(weights: Weights) -> Preconditioning:
    """Return what a file says of the preconditioning, or what is usual.

    Args:
        weights: as for ``edm_network``.

    Raises:
        ValueError: a level is out of range or unknown.
    """
    try:
        return Preconditioning.model_validate(weights.config.get("preconditioning", {}))
    except ValidationError as error:
        raise _misfit(error, weights.source) from error


def _require_label(classes: int, label: Label, source: str) -> None:
    if classes and label == "none":
        raise ValueError(
            f"A purifier needs an unconditional network; {source} has label_dim "
            f"{classes}. It would have to be told the true label, which voids the "
            f"certificate: take unconditional weights, or set label: null_class, which "
            f"tells it no class."
        )
    if not classes and label == "null_class":
        raise no_classes(source)


def no_classes(source: str) -> ValueError:
    """Return the refusal of a label that a network has no use for.

    Args:
        source: what to call the weights.
    """
    return ValueError(
        f"label null_class needs a class-conditional network of EDM's own code; "
        f"{source} is none. Drop label."
    )


def _calling(
    network: Network, source: str, worker: Worker
) -> Callable[[Images, torch.Tensor], torch.Tensor]:
    settings = network.settings
    shape = (settings.img_channels, settings.img_resolution, settings.img_resolution)
    placed = place(network, worker)

    def call(scaled: Images, time: torch.Tensor) -> torch.Tensor:
        if tuple(scaled.shape[1:]) != shape:
            raise ValueError(
                f"A U-Net of EDM needs images of the size it was trained on; {source} "
                f"has channel x height x width {shape}, the images "
                f"{tuple(scaled.shape[1:])}. Correct data.preprocess, or take other "
                f"weights."
            )
        labels = None
        if settings.label_dim:
            labels = scaled.new_zeros(len(scaled), settings.label_dim)
        return placed(to_network(scaled, worker), time, labels).float()

    return call
