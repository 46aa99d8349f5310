"""What the arguments of an EDM network say, as the settings of a weights file."""

import math
from collections.abc import Mapping
from typing import Any

LICENCE = "CC BY-NC-SA 4.0"
"""Terms of the weights that the authors of EDM publish: no commercial use."""

PRECONDITIONING = "EDMPrecond"
"""Class of the authors' code that is equation 7 of Karras et al. 2022."""

POSITIONS = (
    "img_resolution",
    "img_channels",
    "label_dim",
    "use_fp16",
    "sigma_min",
    "sigma_max",
    "sigma_data",
    "model_type",
)
"""Arguments of that class, in their order."""

NETWORKS = {"SongUNet": "song_unet", "DhariwalUNet": "dhariwal_unet"}
"""Classes of the authors' networks, and what they are called here."""

OF_PRECONDITIONING = ("sigma_min", "sigma_max", "sigma_data")
"""Arguments that describe no network."""

OF_TRAINING = ("dropout", "label_dropout", "augment_dim", "use_fp16")
"""Arguments that change nothing of what a trained network returns in float32."""


def config_of(arguments: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the settings of a weights file with an EDM network.

    Args:
        arguments: of the preconditioning's class, by name; what is not there has the
            value that a purifier takes for it.
        source: what to call the file in an error.

    Returns:
        ``arch``, the ``network``'s settings, its ``preconditioning`` without infinite
        bounds, and the ``licence``.

    Raises:
        ValueError: the network is none that is known here, or a level is no number.
    """
    kind = arguments.get("model_type", "DhariwalUNet")
    if kind not in NETWORKS:
        raise ValueError(
            f"An EDM file needs a network of {' or '.join(NETWORKS)}; {source} has "
            f"model_type {kind!r}. Take another file."
        )
    apart = {*OF_PRECONDITIONING, *OF_TRAINING, "model_type"}
    told = {name: arguments[name] for name in OF_PRECONDITIONING if name in arguments}
    odd = [name for name in told if not isinstance(told[name], int | float)]
    if odd:
        raise ValueError(
            f"An EDM file needs numbers for its levels of noise; {source} has "
            f"{odd[0]} {told[odd[0]]!r}. Take another file."
        )
    return {
        "arch": NETWORKS[kind],
        "network": {key: arguments[key] for key in arguments if key not in apart},
        "preconditioning": {key: told[key] for key in told if math.isfinite(told[key])},
        "licence": LICENCE,
    }
