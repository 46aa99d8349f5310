"""The checkpoints of one training: where it goes on after whatever ended it."""

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from infra.object_store import Store, open_store
from pipelines.train_read import Refused
from pipelines.train_recipe import TrainRecipe
from pipelines.train_state import Training

ENDING = ".pt"

logger = logging.getLogger(__name__)


def checkpoint_store(recipe: TrainRecipe, cache: Path) -> Store:
    """Return where the checkpoints of trainings lie.

    Args:
        recipe: may name a place.
        cache: folder of all trained weights, in which they lie otherwise.
    """
    return open_store(recipe.checkpoints.uri or cache / "unfinished")


@dataclass(frozen=True)
class Checkpoints:
    """Saved states of one training, a file each, whole or not there.

    They are named by the training and the step, so that a training finds its own in
    whatever company and however often it is started.
    """

    store: Store
    """Of all trainings."""

    training: str
    """Hash of the recipe."""

    keep: int
    """How many of the last ones stay."""

    def save(self, training: Training) -> None:
        """Write a state; older ones than the last few go.

        Args:
            training: as it stands.
        """
        content = io.BytesIO()
        torch.save(training.state(self.training), content)
        name = f"{self.training}/{training.step:010d}{ENDING}"
        self.store.write(name, content.getvalue())
        for old in self._names()[: -self.keep]:
            self.store.remove(old)

    def restore_last(self, training: Training, device: torch.device) -> None:
        """Go on from the last state, if there is one.

        Args:
            training: before its first step; changed in place.
            device: where its tensors go.

        Raises:
            Refused: the file is damaged.
        """
        names = self._names()
        if not names:
            return
        content = io.BytesIO(self.store.read(names[-1]))
        try:
            state = torch.load(content, map_location=device, weights_only=True)
        except (RuntimeError, EOFError) as error:
            raise Refused(
                f"A training needs its checkpoint whole; {self.store.url}/{names[-1]} "
                f"cannot be read ({error}). Remove it to go on from the one before, "
                f"or from the start."
            ) from error
        training.restore(state)
        logger.info("Training goes on from step %d.", training.step)

    def remove(self) -> None:
        """Remove all states of the training, whose weights are published."""
        for name in self._names():
            self.store.remove(name)

    def _names(self) -> list[str]:
        """Return the names of the states, in the order of their steps."""
        found = self.store.names(f"{self.training}/")
        return [name for name in found if name.endswith(ENDING)]
