"""What the sigmas of a run say together, one after the other: its cascade."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from infra.object_store import Store
from infra.tables import to_bytes
from ops.certify.cascade import CertifyCascade
from ops.columns import Batch, Worker
from pipelines.canonical import digest
from pipelines.certificates import INCOMPLETE, UNITS
from pipelines.certify_stage import Certified
from pipelines.identity import vote_identity

CASCADE_FILE = "cascade.parquet"

SILENT = "no sigma answers"
"""Why an image has no certificate at all of whose sigmas no class passes one half."""

_BOUNDS = pa.struct(
    [
        ("sigma", pa.float64()),
        ("probability_lower", pa.float64()),
        ("probability_upper", pa.float64()),
    ]
)
CASCADED = pa.schema(
    [
        ("image_key", pa.string()),
        ("label", pa.int32()),
        ("sigma", pa.float64()),
        ("guessed_class", pa.int32()),
        ("abstained", pa.bool_()),
        ("num_draws", pa.int64()),
        ("failure_probability", pa.float64()),
        ("radius", pa.float64()),
        ("reason", pa.string()),
        ("smoothed_class", pa.int32()),
        ("stages", pa.list_(_BOUNDS)),
    ]
)
"""One row per image. ``sigma`` and ``guessed_class`` are of the stage that decides,
null where none does. ``num_draws`` counts the estimate of the stages that were asked.
``smoothed_class`` is what most votes of the first sigma say at which one class has more
than half, -1 for none. ``stages`` are all of them, from the largest sigma down:
``probability_lower`` bounds the guessed class, ``probability_upper`` the likeliest."""


@dataclass(frozen=True)
class _Stages:
    """What certificates say at each sigma, from the largest down: ``image stage``."""

    sigmas: tuple[float, ...]
    labels: dict[str, int]
    """True class by image key, sorted by key."""

    counts: Batch
    """What :class:`CertifyCascade` reads."""

    guessed_class: np.ndarray
    smoothed_class: np.ndarray
    """-1 also where the class with the most votes has no more than half."""

    reason: np.ndarray


def is_cascade(found: Sequence[Certified]) -> bool:
    """Return whether the certificates of a run are stages of a cascade.

    Args:
        found: the certificates, one sigma each.
    """
    return any(one.run.rule.kind == "cascade" for one in found)


def cascade_table(found: Sequence[Certified]) -> pa.Table:
    """Return what a cascade certifies, from the certificates of its sigmas.

    Args:
        found: the certificates, one sigma each.

    Returns:
        Rows of :data:`CASCADED`, sorted by image key.
    """
    stages, promised = _stages(found), promise_of(found)
    op = CertifyCascade(sigmas=stages.sigmas, failure_probability=promised)
    says = op.open(Worker(torch.device("cpu")))(stages.counts)
    rows, last, decided = np.arange(len(stages.labels)), says["stage"], says["decided"]
    asked = np.arange(len(stages.sigmas)) <= last[:, None]
    columns = {
        "image_key": list(stages.labels),
        "label": list(stages.labels.values()),
        "sigma": np.array(stages.sigmas)[last],
        "guessed_class": stages.guessed_class[rows, last],
        "abstained": ~decided,
        "num_draws": np.where(asked, stages.counts["num_draws"], 0).sum(axis=1),
        "failure_probability": [promised] * len(rows),
        "radius": says["radius"],
        "reason": _reasons(stages, says),
        "smoothed_class": _first_class(stages.smoothed_class),
        "stages": _bounds(stages.sigmas, says),
    }
    masks = {"sigma": ~decided, "guessed_class": ~decided}
    arrays = [
        pa.array(columns[field.name], field.type, mask=masks.get(field.name))
        for field in CASCADED
    ]
    return pa.table(arrays, schema=CASCADED)


def promise_of(found: Sequence[Certified]) -> float:
    """Return the chance that what a cascade says of one image is wrong.

    Args:
        found: certificates of its sigmas.
    """
    promised = found[0].reading.cascade_failure_probability
    assert promised is not None  # of the rule cascade
    return promised


def cascade_file(found: Sequence[Certified]) -> bytes:
    """Return what a cascade certifies as Parquet: same votes, same bytes.

    Args:
        found: certificates of its sigmas.
    """
    identities = {f"{o.run.sigma:g}": digest(vote_identity(o.run)) for o in found}
    units = {name: UNITS[name] for name in ("sigma", "radius")}
    facts = {
        "units": json.dumps(units, sort_keys=True),
        "vote_identities": json.dumps(identities, sort_keys=True),
    }
    return to_bytes(cascade_table(found), facts)


def write_cascade(store: Store, found: Sequence[Certified]) -> None:
    """Write what a cascade certifies; under another rule, remove what one did.

    Args:
        store: of OUT.
        found: the certificates, one sigma each.
    """
    if is_cascade(found):
        store.write(CASCADE_FILE, cascade_file(found))
    elif store.exists(CASCADE_FILE):
        store.remove(CASCADE_FILE)


def _stages(found: Sequence[Certified]) -> _Stages:
    ordered = sorted(found, key=lambda one: one.run.sigma, reverse=True)
    tables = [one.certificates for one in ordered]
    labels: dict[str, int] = {}
    for table in tables:
        columns = (table[name].to_pylist() for name in ("image_key", "label"))
        labels |= zip(*columns, strict=True)
    labels = dict(sorted(labels.items()))
    parts = [_stage(one, list(labels)) for one in ordered]
    whole = {name: np.stack([p[name] for p in parts], axis=1) for name in parts[0]}
    return _Stages(
        sigmas=tuple(one.run.sigma for one in ordered),
        labels=labels,
        counts={name: whole[name] for name in CertifyCascade.reads},
        guessed_class=whole["guessed_class"],
        smoothed_class=whole["smoothed_class"],
        reason=whole["reason"],
    )


def _stage(one: Certified, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Return one sigma's numbers; an image it knows nothing of has lost all votes."""
    table, num = one.certificates, len(keys)
    rows = pc.index_in(table["image_key"], pa.array(keys, pa.string())).to_numpy()
    total, largest = _total_and_largest(table["counts"])
    draws = table["num_draws"].to_numpy()
    smoothed = np.where(2 * largest > draws, table["smoothed_class"].to_numpy(), -1)
    lost = one.reading.most_votes
    return {
        "num_votes": _placed(rows, table["num_votes"].to_numpy(), num, 0),
        "num_most": _placed(rows, draws - total + largest, num, lost),
        "num_draws": _placed(rows, draws, num, lost),
        "guessed_class": _placed(rows, table["guessed_class"].to_numpy(), num, -1),
        "smoothed_class": _placed(rows, smoothed, num, -1),
        "reason": _placed(
            rows, np.array(table["reason"].to_pylist(), object), num, INCOMPLETE
        ),
    }


def _placed(
    rows: np.ndarray, values: np.ndarray, num: int, other: object
) -> np.ndarray:
    """Return values in their rows of several, and another value in the rest."""
    placed = np.full(num, other, dtype=values.dtype)
    placed[rows] = values
    return placed


def _total_and_largest(counts: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum and the largest of each row's sparse counts."""
    whole = counts.combine_chunks()
    owner = pc.list_parent_indices(whole).to_numpy()
    numbers = pc.struct_field(pc.list_flatten(whole), "count").to_numpy()
    total, largest = np.zeros((2, len(whole)), np.int64)
    np.add.at(total, owner, numbers)
    np.maximum.at(largest, owner, numbers)
    return total, largest


def _first_class(classes: np.ndarray) -> np.ndarray:
    """Return each row's first class from the left, -1 where there is none."""
    return classes[np.arange(len(classes)), (classes >= 0).argmax(axis=1)]


def _reasons(stages: _Stages, says: Batch) -> list[str]:
    """Say what became of each image: why the stage that was asked last gave nothing."""
    reasons = []
    for row, last in enumerate(says["stage"].tolist()):
        failure = str(stages.reason[row, last])
        if says["decided"][row]:
            reasons.append("certified")
        elif failure not in ("certified", "abstained"):
            reasons.append(failure)
        elif says["probability_upper"][row, last] < 0.5:
            reasons.append(SILENT)
        else:
            reasons.append(f"undecided at sigma {stages.sigmas[last]:g}")
    return reasons


def _bounds(sigmas: Sequence[float], says: Batch) -> list[list[dict[str, float]]]:
    pairs = zip(says["probability_lower"], says["probability_upper"], strict=True)
    return [
        [
            {"sigma": s, "probability_lower": low, "probability_upper": high}
            for s, low, high in zip(sigmas, lower.tolist(), upper.tolist(), strict=True)
        ]
        for lower, upper in pairs
    ]
