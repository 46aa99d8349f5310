"""Identities as text: the same for the same content, and how two of them differ."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

Identity = dict[str, Any]


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
