"""Layers of EDM's networks: what filters and attention keep."""

import pytest
import torch
from torch import nn

from ops.purify.edm_embedding import (
    FourierFrequencies,
    phases_to_features,
    positional_phases,
)
from ops.purify.edm_layers import (
    BlockStyle,
    HalvedConvolution,
    UnetBlock,
    filter_of,
    rescale,
)

RANDOM = torch.Generator()
FILTERS = [(1.0, 1.0), (1.0, 3.0, 3.0, 1.0)]
STYLE = BlockStyle(
    features=8,
    taps=(1.0, 1.0),
    skip_scale=0.5,
    guard=1e-6,
    adaptive_scale=True,
    project_rescaled=False,
    channels_per_head=4,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=RANDOM.manual_seed(seed))


@pytest.mark.parametrize("taps", FILTERS)
def test_doubling_is_four_times_the_transpose_of_halving(taps: tuple) -> None:
    fine, coarse = normal(2, 3, 8, 8), normal(2, 3, 4, 4, seed=1)
    kernel = filter_of(taps)
    halved, doubled = rescale(fine, kernel, "down"), rescale(coarse, kernel, "up")
    assert (halved.shape, doubled.shape) == (coarse.shape, fine.shape)
    left, right = 4.0 * (halved * coarse).sum(), (fine * doubled).sum()
    torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("taps", FILTERS)
def test_constant_maps_stay_as_they_are_but_at_the_edge(taps: tuple) -> None:
    kernel, flat = filter_of(taps), torch.full((1, 2, 8, 8), 3.0)
    for direction in ("down", "up"):
        inside = rescale(flat, kernel, direction)[..., 1:-1, 1:-1]
        torch.testing.assert_close(inside, torch.full_like(inside, 3.0))


def test_two_equal_taps_are_the_mean_of_four_and_their_repetition() -> None:
    maps, kernel = normal(2, 3, 4, 6), filter_of((1.0, 1.0))
    mean = nn.functional.avg_pool2d(maps, 2)
    torch.testing.assert_close(rescale(maps, kernel, "down"), mean)
    repeated = maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.equal(rescale(maps, kernel, "up"), repeated)


@pytest.mark.parametrize("taps", FILTERS)
def test_halving_after_a_convolution_that_does_nothing_is_halving(taps: tuple) -> None:
    layer = HalvedConvolution(2, 2, taps)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[[0, 1], [0, 1], 1, 1] = 1.0
        assert layer.bias is not None
        layer.bias.zero_()
    maps = normal(1, 2, 8, 8)
    torch.testing.assert_close(layer(maps), rescale(maps, filter_of(taps), "down"))


def test_positional_frequencies_run_from_one_to_the_longest_period() -> None:
    one = torch.ones(1)
    reached = positional_phases(one, 8, reach_end=True)[0]
    assert reached[0] == 1.0
    assert reached[-1].item() == pytest.approx(1e-4)
    short = positional_phases(one, 8, reach_end=False)[0]
    assert (short[-1] * (short[1] / short[0])).item() == pytest.approx(1e-4)


def test_features_are_points_on_a_circle_for_each_frequency() -> None:
    phases = positional_phases(torch.tensor([0.3, -1.2]), 8, reach_end=True)
    first = phases_to_features(phases, sine_first=True)
    other = phases_to_features(phases, sine_first=False)
    assert torch.equal(first[:, :4], other[:, 4:])
    assert torch.equal(first[:, 4:], other[:, :4])
    squares = first[:, :4].square() + first[:, 4:].square()
    torch.testing.assert_close(squares, torch.ones(2, 4))


def test_random_frequencies_keep_their_digits_in_half_a_network() -> None:
    layer = FourierFrequencies(8)
    layer.freqs.copy_(normal(4) * 16)
    layer.requires_grad_(False)
    before = layer(torch.tensor([1.7]))
    after = layer.to(torch.bfloat16)(torch.tensor([1.7]))
    assert torch.equal(before, after)


@torch.no_grad()
def test_each_head_attends_alone_with_its_query_beside_key_and_value() -> None:
    block = UnetBlock(8, 8, STYLE, attention=True)
    maps, embedded = normal(2, 8, 3, 5), normal(2, 8, seed=1)
    assert block.num_heads == 2
    whole = block(maps, embedded)
    block.num_heads = 0
    plain = block(maps, embedded)

    mixed = block.qkv(block.norm2(plain)).flatten(2)
    gathered = []
    for head in (mixed[:, :12], mixed[:, 12:]):
        query, key, value = head[:, 0::3], head[:, 1::3], head[:, 2::3]
        weight = (torch.einsum("ncq,nck->nqk", query, key) / 2.0).softmax(dim=2)
        gathered.append(torch.einsum("nqk,nck->ncq", weight, value))
    attended = block.proj(torch.cat(gathered, dim=1).reshape(plain.shape))
    torch.testing.assert_close(whole, (plain + attended) * STYLE.skip_scale)


@torch.no_grad()
@pytest.mark.parametrize("direction", ["down", "same", "up"])
def test_block_whose_second_convolution_is_silent_is_its_skip(direction: str) -> None:
    block = UnetBlock(8, 8, STYLE, direction=direction)
    for parameter in block.conv1.parameters():
        parameter.zero_()
    maps = normal(2, 8, 4, 4)
    kept = rescale(maps, filter_of(STYLE.taps), direction) * STYLE.skip_scale
    torch.testing.assert_close(block(maps, normal(2, 8, seed=1)), kept)


def test_channels_that_are_no_whole_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="6 channels needs heads of 4 each"):
        UnetBlock(8, 6, STYLE, attention=True)
