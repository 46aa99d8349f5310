import math

import torch
from torch import nn

from ops.initialise import initialise


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(64, 128, 3), nn.GroupNorm(8, 128), nn.Linear(128, 9))


def test_same_seed_gives_the_same_network_and_leaves_torchs_generator_alone() -> None:
    ours, other = network(), network()
    before = torch.get_rng_state()
    initialise(ours, 3)
    assert torch.equal(torch.get_rng_state(), before)
    for one, two in zip(
        ours.parameters(), initialise(other, 3).parameters(), strict=True
    ):
        assert torch.equal(one, two)


def test_another_seed_or_name_gives_other_weights() -> None:
    first, second = (initialise(network(), seed).state_dict() for seed in (3, 4))
    assert not torch.equal(first["0.weight"], second["0.weight"])
    twins = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    weights = initialise(twins, 3).state_dict()
    assert not torch.equal(weights["0.weight"], weights["1.weight"])


def test_weights_have_the_variance_that_keeps_activations_alive() -> None:
    weight = initialise(network(), 3, gain=0.5).state_dict()["0.weight"]
    expected = 0.5 * math.sqrt(2 / (64 * 9))
    slack = 4 / math.sqrt(2 * weight.numel())  # four standard errors of a std
    assert abs(weight.std().item() / expected - 1) < slack


def test_biases_are_zero_and_norms_do_nothing() -> None:
    ours = initialise(network(), 3).state_dict()
    assert not ours["0.bias"].any()
    assert torch.equal(ours["1.weight"], torch.ones(128))
