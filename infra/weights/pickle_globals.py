"""What a pickle would run, read from its instructions without following any."""

import io
import pickle
import pickletools
import struct
from collections.abc import Iterator
from pathlib import Path

import torch

NUM_OLD_PICKLES = 4
"""Pickles in a file of torch before 1.6, the last of which is the content."""

DAMAGE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)
"""What torch raises at the bytes of a broken file, or of one that wants code."""

LONGEST_PICKLES = 1 << 24
"""Bytes that are looked at; what follows are numbers, in which nothing is named."""

TENSORS_OWN = ("collections", "torch", "torch._utils")
"""Modules whose names the tensors of such a file need, and may use."""


def wanted_globals(path: Path) -> list[str]:
    """Return the names a checkpoint needs beyond those that tensors need.

    Args:
        path: a file of torch.save, of any version, or a bare pickle.

    Returns:
        Dotted names, sorted; none where the file is safe, or no pickle.
    """
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except DAMAGE:  # no zip file of torch's, or a broken one
        return sorted(_of_bare_pickles(path))


def _of_bare_pickles(path: Path) -> set[str]:
    named: set[tuple[str, str]] = set()
    with path.open("rb") as file:
        head = io.BytesIO(file.read(LONGEST_PICKLES))
    for _ in range(NUM_OLD_PICKLES):
        try:
            named.update(_named(pickletools.genops(head)))
        except ValueError:  # no further pickle
            break
    return {f"{home}.{name}" for home, name in named if home not in TENSORS_OWN}


def _named(operations: Iterator[tuple]) -> Iterator[tuple[str, str]]:
    """Yield module and name of every global, as both generations of pickle spell it."""
    texts: list[str] = []  # pushed so far; the last two name a STACK_GLOBAL
    memo: list[str] = []
    for code, argument, _ in operations:
        if code.name == "GLOBAL":
            home, _, name = argument.partition(" ")
            yield home, name
        elif code.name == "STACK_GLOBAL" and len(texts) > 1:
            yield texts[-2], texts[-1]
        elif code.name == "MEMOIZE":
            memo.append(texts[-1] if texts else "")
        elif code.name in {"BINGET", "LONG_BINGET"} and argument < len(memo):
            texts.append(memo[argument])
        elif "UNICODE" in code.name:
            texts.append(argument)
