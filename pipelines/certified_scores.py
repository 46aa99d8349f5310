"""Certified accuracy of a run in few numbers, read from its certificates."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import open_store
from infra.tables import from_bytes
from ops.score.certified_accuracy import (
    average_certified_radius,
    certified_correct,
    num_certified,
)

NAME = "certificates.parquet"


@dataclass(frozen=True)
class CertifiedScores:
    """What the certificates of one run at one sigma come to."""

    num_images: int

    at_zero: float
    """Share certified at radius 0."""

    at_sigma: float
    """Share certified at radius sigma."""

    average_radius: float
    """Mean over all images, 0 for a wrong class, in [0, 1] pixels."""


def certified_scores(name: str, out: str | None) -> dict[float, CertifiedScores]:
    """Return what the certificates of an OUT come to, by sigma.

    Args:
        name: of the recipe.
        out: of the run; ``None``: ``runs/NAME``, where nothing is no error.

    Raises:
        FileNotFoundError: the OUT that was named has no certificates.
        ValueError: its certificates are broken.
    """
    store = open_store(out or f"runs/{name}")
    if not store.exists(NAME):
        if out is None:
            return {}
        raise FileNotFoundError(
            f"theory needs certificates beside {name}; {store.url} has none. Run "
            f"diffsmooth certify there first, or leave out --runs."
        )
    table, _ = from_bytes(store.read(NAME), f"{store.url}/{NAME}")
    sigmas = sorted(set(table["sigma"].to_pylist()))
    return {sigma: _scores(table, sigma) for sigma in sigmas}


def _scores(table: pa.Table, sigma: float) -> CertifiedScores:
    own = table.filter(pc.equal(table["sigma"], sigma))
    columns = [own[name].to_numpy() for name in ("label", "guessed_class", "abstained")]
    correct, radius = certified_correct(*columns), own["radius"].to_numpy()
    at_zero, at_sigma = num_certified(correct, radius, np.array([0.0, sigma]))
    return CertifiedScores(
        num_images=len(own),
        at_zero=float(at_zero) / len(own),
        at_sigma=float(at_sigma) / len(own),
        average_radius=average_certified_radius(correct, radius),
    )
