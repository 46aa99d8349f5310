"""What copies are for, and how many of them a block holds; needs no torch."""

CLEAN = "clean"
"""Stream of the one copy without noise, which measures clean accuracy."""


def num_copies(stream: str, block: int) -> int:
    """Return how many copies one block of a stream holds.

    Args:
        stream: what the copies are for.
        block: copies in a block of noisy copies.
    """
    return 1 if stream == CLEAN else block
