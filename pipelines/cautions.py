"""What keeps curves beside each other from being compared as they stand."""

from collections.abc import Sequence

import numpy as np

from pipelines.curve import CASCADE, FIXED, IMPORTED, Curve


def cautions(curves: Sequence[Curve]) -> list[str]:
    """Say what keeps curves beside each other from being compared as they stand.

    Args:
        curves: one or more, of one data set.

    Returns:
        A sentence, or nothing where images, N and failure probability are the same.
    """
    same = {_same_images(curves[0], curve) for curve in curves}
    found = []
    if False in same:
        sizes = sorted({curve.num_images for curve in curves})
        numbers = f" ({_listed(sizes)})" if len(sizes) > 1 else ""
        found.append(f"different images{numbers}")
    elif None in same:
        found.append("images that may differ, as a log does not name them")
    votes = sorted({curve.num_estimate for curve in curves})
    if len(votes) > 1:
        found.append(f"different N ({_listed(votes)})")
    if not comparable_acr(curves):
        rules = " and ".join(sorted({curve.rule for curve in curves}))
        found.append(f"different rules or radii ({rules}), so ACR is left out")
    promises = sorted({curve.failure_probability for curve in curves})
    if len(promises) > 1:
        found.append(f"different failure probabilities ({_listed(promises)})")
    if not found:
        return []
    return [f"Compare with care: these certificates rest on {', on '.join(found)}."]


def comparable_acr(curves: Sequence[Curve]) -> bool:
    """Return whether average radii may stand side by side.

    They grow with the radii that a rule certifies and with when it stops: one look at
    all votes, ours or another program's, of one sigma or several, is one rule.

    Args:
        curves: one or more.
    """
    radii = {(curve.sigma, curve.radii) for curve in curves}
    rules = {FIXED if c.rule == IMPORTED else c.rule for c in curves}
    rules = {rule.replace(CASCADE, FIXED) for rule in rules}
    return len(rules) == 1 and len(radii) == len({curve.sigma for curve in curves})


def _same_images(one: Curve, other: Curve) -> bool | None:
    """Return whether two curves are of the same images; ``None`` if nobody can tell."""
    if set(one.column("image_key")) == set(other.column("image_key")):
        return True
    labels, others = (np.sort(curve.column("label")) for curve in (one, other))
    if IMPORTED in (one.rule, other.rule) and np.array_equal(labels, others):
        return None
    return False


def _listed(numbers: Sequence[float]) -> str:
    return " and ".join(
        f"{number:,}" if isinstance(number, int) else f"{number:g}"
        for number in numbers
    )
