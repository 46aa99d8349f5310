"""One point of a study: what was tried, and what it gave."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.curve import Curve

Status = Literal["finished", "stopped", "refused", "failed"]
"""Of a trial: all images, fewer because others were better, none, or an error."""


@dataclass(frozen=True)
class Setting:
    """What readers tell trials apart by."""

    variant: str
    """Row of a table it belongs to; empty where a study has but one."""

    sigma: float
    """Std of the certified noise, in [0, 1] pixels."""

    local_sigma: float
    """Std of the local noise (sigma'), in [0, 1] pixels."""

    num_local: int
    """Local noises per copy (m)."""

    num_estimate: int
    """Noisy copies per image (N)."""

    others: Mapping[str, Any] = field(default_factory=dict)
    """Further fields that the study varies, as chosen."""

    @property
    def name(self) -> str:
        """The setting as words."""
        found = [
            self.variant,
            f"sigma {self.sigma:g}",
            f"local {self.local_sigma:g}",
            f"m {self.num_local}",
            f"N {self.num_estimate:,}",
            *(f"{field} {chosen}" for field, chosen in self.others.items()),
        ]
        return ", ".join(filter(None, found))


@dataclass(frozen=True)
class Score:
    """The objective of a trial, with a 95 % interval over the choice of images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Trial:
    """One point of a study."""

    number: int
    """From 0, in the order in which points were chosen."""

    setting: Setting

    baseline: str | None
    """Name of the method that it stands for beside the search, such as ``DDS``;
    ``None`` for a point that was searched."""

    status: Status

    reason: str
    """Why it was refused or failed; empty otherwise."""

    cost: float
    """Of one image, in the unit of the study's budget."""

    score: Score | None = None
    """``None`` where it has no certificates."""

    curve: Curve | None = None
    """Its certificates; of fewer images where it was stopped."""

    @property
    def name(self) -> str:
        """Its setting as words, with the method it stands for."""
        named = self.setting.name
        return f"{self.baseline}, {named}" if self.baseline else named
