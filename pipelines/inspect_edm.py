"""What a file of EDM's own networks says, in words."""

from ops.purify.edm_network import Preconditioning, edm_network, preconditioning
from ops.purify.edm_unet import EdmUnetSettings
from ops.purify.song_unet import SongUnetSettings
from ops.weights import Weights


def told_edm(weights: Weights) -> dict[str, str]:
    """Return what the network is, by what it is about.

    Args:
        weights: of such a network, whole.

    Raises:
        ValueError: the settings describe no network, or the tensors do not fit it.
    """
    network = edm_network(weights)
    settings = network.settings
    classes = settings.label_dim
    size = settings.img_resolution
    return {
        "unet": (
            f"{_name(settings)} of EDM, {size} px, {settings.img_channels} channels, "
            f"widths {list(settings.widths)}, "
            f"{f'told {classes} classes' if classes else 'unconditional'}"
        ),
        "preconditioning": _levels(preconditioning(weights)),
    }


def _name(settings: EdmUnetSettings) -> str:
    if not isinstance(settings, SongUnetSettings):
        return "ADM (DhariwalUNet)"
    residual = settings.encoder_type == "residual"
    return f"{'NCSN++' if residual else 'DDPM++'} (SongUNet)"


def _levels(told: Preconditioning) -> str:
    return (
        f"sigma_data {told.sigma_data:g}, purifies sigma up to {told.sigma_max / 2:g}"
    )


def edm_advice(file: str, format: str, weights: Weights) -> list[str]:
    """Return what to do with such a file: commands, or lines of a recipe.

    Args:
        file: its path.
        format: how it is laid out.
        weights: what it holds.
    """
    lines = []
    if format == "edm_pickle":
        out = f"{file.removesuffix('.pkl').removesuffix('.pickle')}.safetensors"
        command = f"diffsmooth convert {file} --out {out}"
        lines.append(f"As safetensors, for a cluster: {command}")
    if edm_network(weights).settings.label_dim:
        return [
            *lines,
            "No purifier as it was trained: it would have to be told the true label. "
            "label: null_class tells it no class.",
        ]
    return [
        *lines,
        f"In a recipe: purifier: {{kind: edm, weights: {{path: {file}}}}}",
    ]
