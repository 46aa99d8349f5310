"""A nested configuration as flat names and texts."""

import json
from collections.abc import Mapping
from typing import Any

_LONGEST_VALUE = 6000
"""Characters that MLflow keeps of a value."""


def flatten(nested: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Return a nested configuration as dotted names and texts that MLflow takes.

    Args:
        nested: mapping of mappings, lists and plain values.
        above: what every name begins with.
    """
    flat = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{above}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            flat[f"{above}{key}"] = text[:_LONGEST_VALUE]
    return flat
