"""The vote of a noisy copy that has several purified ones."""

import torch
from jaxtyping import Int64


def majority(
    vote: Int64[torch.Tensor, "*copies sample"],
) -> Int64[torch.Tensor, "*copies"]:
    """Return the class that most samples vote for; of a tie, the one met first.

    The first sample to have voted for one of the tied classes decides, so that the
    order of the classes, which means nothing, does not.

    Args:
        vote: classes from 0, or -1 where a sample's scores were not numbers.

    Returns:
        A class for each copy; -1 if any of its samples has none, because a majority of
        the others might have been another with it.

    Source:
        DensePure: Xiao et al. 2023, arXiv:2211.00322, the majority over purified
        samples; the rule for ties is that of its public code.
    """
    same = vote[..., :, None] == vote[..., None, :]
    support = same.sum(dim=-1)
    # argmax does not promise the first of equals, so earlier samples get a bonus < 1.
    places = torch.arange(vote.shape[-1], device=vote.device)
    bonus = (vote.shape[-1] - places) / (vote.shape[-1] + 1)
    first = (support + bonus).argmax(dim=-1, keepdim=True)
    chosen = vote.gather(-1, first).squeeze(-1)
    return torch.where((vote < 0).any(dim=-1), -1, chosen)
