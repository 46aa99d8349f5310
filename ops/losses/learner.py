"""The network under training, as an objective calls it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Learner:
    """A network under training: called with gradients, or at rest for an attack.

    Objectives get it in place of the bare function, because an attack on the network
    must change neither its batch statistics nor the gradients of its weights.
    """

    predict: Callable[..., torch.Tensor]
    """The function under training, wrapped to train in parallel if workers share it."""

    module: nn.Module
    """The network itself, whose weights ``predict`` moves."""

    bare: Callable[..., torch.Tensor]
    """The same function of ``module``, past any wrapper."""

    target: Callable[..., torch.Tensor] | None = None
    """The same function of a slow copy of the network, if the objective asks for it."""

    def __call__(self, *args: torch.Tensor) -> torch.Tensor:
        """Return the outputs through which the weights learn."""
        return self.predict(*args)

    @contextmanager
    def at_rest(self) -> Iterator[Callable[..., torch.Tensor]]:
        """Yield the function in evaluation mode; its inputs can have gradients.

        Gradients are to be taken with ``torch.autograd.grad`` of inputs alone.
        """
        training = self.module.training
        self.module.eval()
        try:
            with self._gradients_that_do_not_vanish():
                yield self.bare
        finally:
            self.module.train(training)

    def _gradients_that_do_not_vanish(self) -> AbstractContextManager[object]:
        """Leave autocast to float16, whose gradients of inputs nothing scales."""
        device = next(self.module.parameters()).device.type
        if not torch.is_autocast_enabled(device):
            return nullcontext()
        if torch.get_autocast_dtype(device) != torch.float16:
            return nullcontext()
        return torch.autocast(device, enabled=False)
