"""One line of what a doctor says of a recipe."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "warn", "fail"]

CHANCE = 0.001
"""Probability below which an accuracy is not put down to the choice of images."""


@dataclass(frozen=True)
class Check:
    """One line of what the doctor found."""

    name: str
    """What was looked at."""

    status: Status
    """``fail`` where a long run would be wasted, ``warn`` where it may be."""

    found: str
    """What is there."""

    remedy: str = ""
    """What to do; empty where there is nothing to do."""
