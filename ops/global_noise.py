"""The generators that whole libraries draw from, set for a while and put back.

The one place that sets them. Noise of ours has keys of its own (``ops.noise``); but
dropout, drop path and timm's augmentations take no generator.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def global_generators_at(
    seed: int, device: torch.device | None = None
) -> Iterator[None]:
    """Let Python's, NumPy's and PyTorch's global generators follow from a seed.

    Args:
        seed: 64 bits at most are read; not negative.
        device: an accelerator whose generator is set too; ``None`` for none.
    """
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - others' own
    devices = [device] if device is not None and device.type == "cuda" else []
    seed %= 1 << 63
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % (1 << 32))  # noqa: NPY002 - others' own
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002 - others' own
