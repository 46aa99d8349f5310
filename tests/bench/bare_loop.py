"""A bare torch loop: the forwards of a vote and nothing else."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ops.columns import Worker
from ops.networks import fill, place, read_weights
from pipelines.recipe import Run


class BareLoop:
    """U-Net, then m classifier forwards and an argmax, on inputs that are there.

    It keys no noise, solves for no clean image, normalises nothing and saves nothing:
    what any plan has to do at least.
    """

    def __init__(
        self,
        run: Run,
        worker: Worker,
        size: int,
        layout: torch.memory_format = torch.channels_last,
    ) -> None:
        purifier = run.purifier
        assert purifier.kind == "one_shot_ddpm"
        network = purifier.network(read_weights(purifier.weights, worker))
        self.unet = _laid_out(network, worker, layout)
        classifier = _classifier(run, worker)
        self.classifier = _laid_out(classifier, worker, layout)
        self._num_local = run.local.num
        self._time = torch.tensor(100.0, device=worker.device)
        config: dict[str, Any] = getattr(classifier, "pretrained_cfg", {})
        sizes = ((3, size, size), config.get("input_size", (3, size, size)))
        self._noisy, self._purified = (
            torch.rand(worker.batch, *own, device=worker.device).to(
                worker.precision, memory_format=layout
            )
            for own in sizes
        )

    def __call__(self, num_votes: int) -> torch.Tensor:
        """Return the classes of ``num_votes`` copies, whole batches of them."""
        with torch.inference_mode():
            batches = num_votes // len(self._noisy)
            return torch.cat([self._batch() for _ in range(batches)]).cpu()

    def _batch(self) -> torch.Tensor:
        self.purify()
        logits = sum(self.classify().float() for _ in range(self._num_local))
        assert isinstance(logits, torch.Tensor)
        return logits.argmax(dim=1)

    def purify(self) -> torch.Tensor:
        """Return the first three channels of one U-Net call."""
        (output,) = self.unet(self._noisy, self._time, return_dict=False)
        return output[:, :3]

    def classify(self) -> torch.Tensor:
        """Return the logits of one classifier call, at the size it was made for."""
        return self.classifier(self._purified)

    def alone(self, part: str) -> Callable[[], object]:
        """Return one call of ``unet`` or ``classifier`` on a batch."""

        def call() -> None:
            with torch.inference_mode():
                if part == "unet":
                    self.purify()
                else:
                    self.classify()

        return call


def _laid_out(
    network: nn.Module, worker: Worker, layout: torch.memory_format
) -> Callable[..., Any]:
    placed = place(network, worker)
    nn.Module.to(network, memory_format=layout)
    return placed


def _classifier(run: Run, worker: Worker) -> nn.Module:
    reference = run.classifier.weights
    return fill(run.classifier.network(), reference, read_weights(reference, worker))
