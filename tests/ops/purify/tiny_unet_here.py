"""A U-Net of one layer for images of 4 x 4, whose weights no training made."""

from typing import Any

from ops.weights import WeightsRef

TINY: dict[str, Any] = {
    "sample_size": 4,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": [8],
    "down_block_types": ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "add_attention": False,
}
UNTRAINED = WeightsRef(untrained=3)
