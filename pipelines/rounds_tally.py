"""How far a run is whose images stop by themselves, as its planner tells it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.attempts import Tell
from pipelines.reading import Reading


@dataclass
class RoundsTally:
    """Votes and images that stopped; it reads no votes."""

    reading: Reading
    tell: Tell
    """Reaches the tracker, to whom the planner tells who has stopped."""

    num_images_asked: int
    votes_before: int
    """In OUT when this start began."""

    images_before: int
    """That had stopped by then."""

    at_most = True
    num_new: int = 0
    num_certified: int = 0
    num_blocks: int = 0
    begun: float = field(default_factory=time.monotonic)

    def take(self, names: Sequence[str]) -> None:
        """Ask how far it is.

        Args:
            names: of new vote files, which are not read.
        """
        self.num_new, self.num_certified, self.num_blocks = self.tell("progress")

    @property
    def num_votes(self) -> int:
        """In the ledger; a copy without noise counts as a block of them."""
        return self.votes_before + self.num_blocks * self.reading.run.sampling.block

    @property
    def num_images(self) -> int:
        """Images that have stopped."""
        return self.images_before + self.num_new

    @property
    def votes_wanted(self) -> int:
        """Votes there will be if no image that goes on stops before its last look."""
        left = self.num_images_asked - self.num_images
        return self.num_votes + left * self.reading.most_votes

    @property
    def certified_percent(self) -> float:
        """Certified accuracy at radius 0 of the images that stopped now, percent."""
        return 100 * self.num_certified / max(1, self.num_new)

    @property
    def votes_per_second(self) -> float:
        """Of this start."""
        seconds = max(1e-9, time.monotonic() - self.begun)
        return (self.num_votes - self.votes_before) / seconds
