"""How a share rises at the beginning of a training."""


def warm_up(step: int, warmup_steps: int) -> float:
    """Return the share that is reached in a step, after a linear rise.

    Args:
        step: index of the step, from 0.
        warmup_steps: steps of the rise, the last of which reaches 1; 0 for no rise.

    Returns:
        A number in (0, 1].
    """
    if warmup_steps == 0:
        return 1.0
    return min(1.0, (step + 1) / warmup_steps)
