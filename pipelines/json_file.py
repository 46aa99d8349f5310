"""JSON files of OUT, or a sentence where one is damaged."""

import json
from typing import Any

from infra.object_store import Store


def json_object(store: Store, name: str, remedy: str) -> dict[str, Any]:
    """Return what a JSON file of OUT holds.

    Args:
        store: of OUT.
        name: of a file that is there.
        remedy: what to do where it is damaged, as a sentence.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        found = json.loads(store.read(name))
    except ValueError as error:  # also bytes that are no text
        raise ValueError(_told(store, name, str(error), remedy)) from error
    if not isinstance(found, dict):
        raise ValueError(_told(store, name, f"but a {type(found).__name__}", remedy))
    return found


def _told(store: Store, name: str, what: str, remedy: str) -> str:
    return (
        f"diffsmooth needs {name} to be the JSON object it wrote; {store.url}/{name} "
        f"has none ({what.rstrip('.')}). {remedy}"
    )
