"""How well purifiers clean, side by side: ``diffsmooth inspect-purifier``."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from infra import cluster
from infra.object_store import Store, open_store
from infra.tracking_address import resolve_uri
from infra.tracking_client import require_reachable
from ops.pixels import to_bytes
from pipelines.draw_purified import draw_purified
from pipelines.in_worker import in_worker
from pipelines.purifier_distance import Distance, features_of, lpips_of, require_colours
from pipelines.purifier_log import log_purifiers
from pipelines.purifier_look import Looked, look
from pipelines.purifier_methods import (
    VERB,
    Methods,
    methods_at,
    shared_sample,
    shared_sigmas,
)
from pipelines.purifier_quality import Quality, quality
from pipelines.recipe import Recipe, load_recipe
from pipelines.render_purifiers import purifier_csv, purifier_markdown
from pipelines.sample import Sample
from pipelines.weights import resolve

NUM_PICTURED = 8
"""Images in a picture."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """How purifiers are looked at, beside what a recipe says."""

    num_images: int = 50
    """Evenly spread over the recipe's images, or all if they are fewer."""

    beside: Sequence[str] = ()
    """Recipes to compare with, at the sigmas they share with the first."""

    lpips: str | None = None
    """File of weights of LPIPS; ``None`` measures distances between features of the
    recipe's classifier."""


@dataclass(frozen=True)
class Inspected:
    """What purifiers do to a few images, and the files that say so."""

    lines: Sequence[Quality]
    """By sigma, and by method under each."""

    files: Mapping[str, bytes]
    """Contents by name in OUT."""

    store: Store
    """Of OUT."""


def inspect_purifier(
    name: str,
    settings: Sequence[str],
    out: str | None,
    asked: Asked,
) -> Inspected:
    """Measure and picture what a recipe's purifier does, beside those of others.

    All of them get the recipe's images, under its seed and its kind of noise: the same
    noisy copies. Networks, precision and batch are each recipe's own.

    Args:
        name: packaged recipe or YAML file.
        settings: ``field=value`` each, of that recipe alone.
        out: where files go; ``None``: ``runs/NAME``.
        asked: how many images, beside which recipes, and what measures distances.

    Raises:
        ValueError: a recipe does not hold, or they cannot be compared.
        ConnectionError: MLflow does not answer.
    """
    others = [load_recipe(other, []) for other in asked.beside]
    recipes = [load_recipe(name, list(settings)), *others]
    sigmas = shared_sigmas(recipes)
    lpips = None if asked.lpips is None else lpips_of(asked.lpips)
    store = open_store(out or f"runs/{recipes[0].name}")
    store.require_writable()
    uri = _reachable(recipes[0], store)
    sample = shared_sample(recipes, asked.num_images)
    if lpips is not None:
        require_colours(sample)
    cluster.start(recipes[0].runs[0].ray.address)
    recipes = [resolve(recipe) for recipe in recipes]
    lines: list[Quality] = []
    files: dict[str, bytes] = {}
    for sigma in sigmas:
        methods = methods_at(recipes, sigma)
        distance = lpips or features_of(methods[recipes[0].name].classifier)
        looked = _look(methods, sample, distance)
        lines += _lines(methods, sample, looked, distance)
        files[f"purified_{sigma:g}.png"] = picture(sample, looked, sigma)
    files["purifier.csv"] = purifier_csv(lines).encode()
    files["purifier.md"] = purifier_markdown(lines).encode()
    for file, content in files.items():
        store.write(file, content)
    log_purifiers(uri, recipes, lines, files, out=store.url)
    return Inspected(lines, files, store)


def _reachable(recipe: Recipe, store: Store) -> str:
    """Return where the recipe is logged, refused now if nothing answers there."""
    folder = None if store.local_path is None else store.local_path.parent
    uri = resolve_uri(recipe.runs[0].tracking.uri, folder)
    require_reachable(uri)
    return uri


def _look(methods: Methods, sample: Sample, distance: Distance) -> dict[str, Looked]:
    looked = {}
    for name, run in methods.items():
        logger.info("sigma %g: %s on %d images.", run.sigma, name, len(sample.keys))
        looked[name] = in_worker(
            look, run, sample, distance.metric, NUM_PICTURED, asked_by=VERB
        )
    return looked


def _lines(
    methods: Methods, sample: Sample, looked: Mapping[str, Looked], distance: Distance
) -> list[Quality]:
    return [
        quality(name, run, looked[name], sample.labels, distance=distance.said)
        for name, run in methods.items()
    ]


def picture(sample: Sample, looked: Mapping[str, Looked], sigma: float) -> bytes:
    """Return the first images, their noisy copies and what each method makes of them.

    Args:
        sample: at least one image.
        looked: by method; all met the same noisy copies.
        sigma: std of the noise in [0, 1] pixels.

    Returns:
        A PNG.
    """
    images = torch.from_numpy(np.stack(sample.images[:NUM_PICTURED]))
    first = next(iter(looked.values()))
    rows = {"clean": to_bytes(images).numpy(), "noisy": first.noisy}
    # A method may be called noisy; none may hide a row.
    for name, one in looked.items():
        rows[f"{name} " if name in rows else name] = one.purified
    return draw_purified(rows, f"sigma {sigma:g}")
