"""What a vote depends on: the vote identity of a run, and how two of them differ."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ops.classify.timm import Timm
from ops.noise import SCHEME
from pipelines.recipe import Run

Identity = dict[str, Any]

NOT_PART = ("path", "format", "recipe", "hub", "revision", "licence")
"""Where weights lie and their terms say nothing about votes; their sha256 does."""


def vote_identity(run: Run) -> Identity:
    """Return everything that a run's votes depend on, besides the image itself.

    Args:
        run: with weights resolved to their sha256.
    """
    return {
        "sigma": run.sigma,
        "seed": run.seed,
        "block": run.sampling.block,
        "noise": SCHEME,
        "preprocess": run.data.preprocess,
        "purifier": _without_places(run.purifier.model_dump(mode="json")),
        "classifier": _classifier(run),
        "local": run.local.model_dump(mode="json"),
        "precision": run.precision,
    }


def digest(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an identity, in hexadecimal."""
    return hashlib.sha256(canonical(identity).encode()).hexdigest()


def canonical(identity: Mapping[str, Any]) -> str:
    """Return an identity as JSON, the same text for the same content."""
    return json.dumps(identity, sort_keys=True, separators=(",", ":"))


def differences(stored: Identity, wanted: Identity) -> list[str]:
    """Return the fields in which two identities differ, as ``field: old, now new``.

    Args:
        stored: identity of the votes that exist.
        wanted: identity of the run that would add to them.
    """
    old, new = dict(_leaves(stored)), dict(_leaves(wanted))
    return [
        f"{field}: {old.get(field)!r}, now {new.get(field)!r}"
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field)
    ]


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _leaves(entry, f"{where}.{key}" if where else str(key))
    else:
        yield where, value


def _classifier(run: Run) -> Identity:
    described = _without_places(run.classifier.model_dump(mode="json"))
    if isinstance(run.classifier, Timm):
        # Another version of timm may say otherwise under the same name.
        described["timm"] = run.classifier.data_config().model_dump(mode="json")
    return described


def _without_places(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {
        key: (
            {k: v for k, v in entry.items() if k not in NOT_PART}
            if key == "weights"
            else _without_places(entry)
        )
        for key, entry in part.items()
    }
