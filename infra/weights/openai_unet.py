"""OpenAI's U-Nets, described by the flags of their authors' own scripts."""

from typing import Literal

from pydantic import (
    BaseModel,
    PositiveInt,
    field_validator,
    model_validator,
)

Family = Literal["guided", "improved", "consistency"]

CHANNEL_MULT: dict[tuple[Family, int], str] = {
    ("guided", 64): "1,2,3,4",
    ("guided", 128): "1,1,2,3,4",
    ("guided", 256): "1,1,2,2,4,4",
    ("guided", 512): "0.5,1,1,2,2,4,4",
    ("consistency", 64): "1,2,3,4",
    ("consistency", 256): "1,1,2,2,4,4",
    ("improved", 32): "1,2,2,2",
    ("improved", 64): "1,2,3,4",
    ("improved", 256): "1,1,2,2,4,4",
}
"""What an empty ``channel_mult`` stands for, by family and image size."""

NUM_CLASSES = 1000
"""Labels that every class-conditional network of the families knows."""

NUM_GROUPS = 32
"""Groups of every group norm in the families."""


class OpenAiUnet(BaseModel, frozen=True, extra="forbid"):
    """A U-Net of guided-diffusion, improved-diffusion or consistency_models.

    It says how the network was trained, too.

    Names and meanings are those of the authors' flags. Nothing is taken from the shapes
    of a file: two networks of the same shapes may differ in the order of queries, keys
    and values, in the number of heads, and in what they take for a timestep.

    Source:
        Dhariwal and Nichol 2021, arXiv:2105.05233, section 3 and appendix (guided);
        Nichol and Dhariwal 2021, arXiv:2102.09672, appendix A (improved); Song et al.
        2023, arXiv:2303.01469, appendix C (consistency).
    """

    family: Family
    """Which of the code bases made it."""

    image_size: PositiveInt
    """Height and width it was trained on, in pixels."""

    num_channels: PositiveInt
    """Width of its first level."""

    num_res_blocks: PositiveInt
    """Residual blocks per level on the way down."""

    num_heads: int
    """Attention heads, where ``num_head_channels`` is -1."""

    num_heads_upsample: int = -1
    """The same on the way up; -1 for as many as on the way down."""

    num_head_channels: int = -1
    """Width of each head; -1 where the number of heads is fixed. Not improved."""

    attention_resolutions: str
    """Heights at which there is attention, in pixels, separated by commas."""

    channel_mult: str = ""
    """Width of each level over ``num_channels``; empty for the authors' of the size."""

    learn_sigma: bool
    """Whether it returns a variance beside its prediction, in twice the channels."""

    class_cond: bool
    """Whether it is told the class of the image."""

    use_scale_shift_norm: bool
    """Whether the timestep scales and shifts, or is only added."""

    resblock_updown: bool = False
    """Whether residual blocks change the resolution, or convolutions. Not improved."""

    use_new_attention_order: bool = False
    """Whether queries, keys and values are split before heads are. In consistency
    models they always are."""

    diffusion_steps: PositiveInt
    """Timesteps of the schedule (T); of a consistency model, levels of its grid (N)."""

    noise_schedule: Literal["linear", "cosine", "karras"]
    """Shape of the betas; linear ones are scaled by 1000 / T. Consistency models have
    levels of noise in their place, spaced as Karras et al. do it."""

    predict_xstart: bool
    """Whether it predicts the clean image, or the noise."""

    rescale_timesteps: bool
    """Whether it is told 1000 t / T for timestep t."""

    @field_validator("attention_resolutions", mode="before")
    @classmethod
    def _takes_one_number(cls, value: object) -> object:
        return str(value) if type(value) is int else value

    @model_validator(mode="after")
    def _is_one_of_its_family(self) -> "OpenAiUnet":
        added = {
            "num_head_channels": -1,
            "channel_mult": "",
            "resblock_updown": False,
            "use_new_attention_order": False,
        }
        for name, absent in added.items() if self.family == "improved" else ():
            if getattr(self, name) != absent:
                raise ValueError(
                    f"A network of improved-diffusion needs {name} {absent!r}, for "
                    f"that code has no such flag; it is {getattr(self, name)!r}. Drop "
                    f"the flag, or set family to guided."
                )
        return self

    @model_validator(mode="after")
    def _is_a_consistency_model_or_none(self) -> "OpenAiUnet":
        consistency = self.family == "consistency"
        if consistency != (self.noise_schedule == "karras"):
            raise ValueError(
                f"Networks of consistency_models, and no others, need noise_schedule "
                f"'karras'; family is {self.family!r} and noise_schedule "
                f"{self.noise_schedule!r}. Correct one of them."
            )
        if consistency and (self.learn_sigma or not self.use_new_attention_order):
            raise ValueError(
                f"A network of consistency_models needs learn_sigma False and "
                f"use_new_attention_order True, for that code knows no other; they are "
                f"{self.learn_sigma} and {self.use_new_attention_order}. Correct them."
            )
        return self

    @model_validator(mode="after")
    def _fits_the_layout_of_diffusers(self) -> "OpenAiUnet":
        if not self.channel_mult and (self.family, self.image_size) not in CHANNEL_MULT:
            known = [size for family, size in CHANNEL_MULT if family == self.family]
            raise ValueError(
                f"A network of {self.family}-diffusion needs channel_mult, or an "
                f"image_size of {known}; image_size is {self.image_size}. Set "
                f"channel_mult to the one it was trained with."
            )
        if _whole_numbers("channel_mult", self._channel_mult)[0] != 1:
            raise ValueError(
                f"UNet2DModel needs a channel_mult that begins with 1; it is "
                f"{self._channel_mult!r}. Take another network."
            )
        if any(width % NUM_GROUPS for width in self.widths):
            raise ValueError(
                f"Group norms of {NUM_GROUPS} groups need widths of whole groups; "
                f"num_channels {self.num_channels} with channel_mult "
                f"{self._channel_mult!r} has {self.widths}. Correct the flags."
            )
        if self.noise_schedule == "linear" and self.diffusion_steps <= 20:
            raise ValueError(
                f"A linear schedule needs diffusion_steps above 20, for its betas end "
                f"at 20 / T; it has {self.diffusion_steps}. Correct the flags."
            )
        for level in sorted({*self.attention_levels, len(self.widths) - 1}):
            self.heads(self.widths[level])
            self.heads(self.widths[level], upwards=True)
        return self

    @property
    def _channel_mult(self) -> str:
        return self.channel_mult or CHANNEL_MULT[self.family, self.image_size]

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, the finest first."""
        factors = _whole_numbers("channel_mult", self._channel_mult)
        return tuple(self.num_channels * factor for factor in factors)

    @property
    def attention_levels(self) -> frozenset[int]:
        """Levels with attention; a resolution that is no level's has no effect."""
        heights = _whole_numbers("attention_resolutions", self.attention_resolutions)
        strides = {self.image_size // height for height in heights}
        return frozenset(i for i in range(len(self.widths)) if 2**i in strides)

    @property
    def out_channels(self) -> int:
        """Channels it returns."""
        return 6 if self.learn_sigma else 3

    def heads(self, width: int, *, upwards: bool = False) -> int:
        """Return the number of attention heads in a layer.

        Args:
            width: channels of the layer.
            upwards: whether it is on the way up.

        Raises:
            ValueError: the width is not a whole number of heads.
        """
        fixed = self.num_heads
        if upwards and self.num_heads_upsample != -1:
            fixed = self.num_heads_upsample
        by_width = self.num_head_channels != -1
        divisor = self.num_head_channels if by_width else fixed
        if divisor < 1 or width % divisor:
            name = "num_head_channels" if by_width else "num_heads"
            raise ValueError(
                f"Attention of {width} channels needs a {name} that divides it; it is "
                f"{divisor}. Correct the flags."
            )
        return width // divisor if by_width else divisor


def _whole_numbers(name: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(
            f"A network of OpenAI's needs {name} as whole numbers separated by commas, "
            f"to be one that UNet2DModel can hold; it is {text!r}. Write it as in the "
            f"authors' flags, or take another network."
        )
    return [int(part) for part in parts]
