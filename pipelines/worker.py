"""What an actor is told about its machine, and how it gets its weights."""

import json
from dataclasses import dataclass
from importlib.metadata import version

import torch

from infra.weights.digest import digest
from infra.weights.load import load
from ops.columns import Worker
from ops.weights import Weights, WeightsRef
from pipelines.allotment import Allotment
from pipelines.recipe import Run

_LIBRARIES = ("torch", "diffusers", "timm", "pillow")
"""Whose versions may move a score's last bits, or a timm model's resize."""


def library_versions() -> dict[str, str]:
    """Return the versions of what turns an image into a vote."""
    return {name: version(name) for name in _LIBRARIES}


@dataclass(frozen=True)
class WorkerSettings:
    """What an actor is told about its machine."""

    precision: str
    batch: int
    compiled: bool
    use_gpu: bool
    num_threads: int | None
    """Threads of PyTorch; ``None`` leaves them."""

    def open(self) -> Worker:
        """Return the worker, with this process set up for it."""
        if self.num_threads is not None:
            torch.set_num_threads(self.num_threads)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        return Worker(
            device=torch.device("cuda" if self.use_gpu else "cpu"),
            precision=getattr(torch, self.precision),
            batch=self.batch,
            compiled=self.compiled,
            load=load_weights,
        )

    def conditions(self) -> str:
        """Return what may move the last bits of a score, as JSON."""
        device = torch.cuda.get_device_name() if self.use_gpu else "cpu"
        return json.dumps(
            {
                "batch": self.batch,
                "compile": self.compiled,
                "device": device,
                **library_versions(),
            },
            sort_keys=True,
        )


def worker_settings(run: Run, allotment: Allotment) -> WorkerSettings:
    """Return what the actors of a stage are told.

    Args:
        run: for precision, batch and compile mode.
        allotment: of the stage.
    """
    return WorkerSettings(
        precision=run.precision,
        batch=run.batch,
        compiled=run.compile,
        use_gpu=allotment.gpus > 0,
        num_threads=allotment.num_threads,
    )


def load_weights(reference: WeightsRef) -> Weights:
    """Read the weights a resolved reference names, and check their digest.

    Raises:
        ValueError: there is no such file, or it is another one than the driver saw.
    """
    if reference.path is None:
        raise ValueError(
            f"A worker needs weights in a file; it has {reference}. "
            f"Give weights.path, or a weights.recipe that trains them."
        )
    found = digest(reference.path)
    if reference.sha256 not in (None, found):
        raise ValueError(
            f"A worker needs weights with sha256 {reference.sha256}; {reference.path} "
            f"has {found}. Copy the driver's file to this node."
        )
    tensors, config = load(reference.path, reference.format)
    return Weights(reference.path, tensors, config)
