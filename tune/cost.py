"""What a call of each network costs, counted or measured."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ops.classify.ensemble import Ensemble
from ops.columns import Worker, in_batches
from ops.purify.purify import Purify
from pipelines.in_worker import in_worker
from pipelines.recipe import Run
from pipelines.sample import Sample
from pipelines.worker import WorkerSettings, load_weights

_LEAST_SECONDS = 1.0
_LEAST_TIMES = 5


@dataclass(frozen=True)
class Cost:
    """Of one call of each network, in some unit."""

    purify: float
    """Of the purifier, for one copy."""

    classify: float
    """Of the classifier, for one local noise of one copy, of all samples if a purifier
    takes several; of an ensemble, with all its members, for how often a consensus
    leaves some out depends on the images."""

    def of_image(self, num_estimate: int, num_local: int) -> float:
        """Return the cost of one image: N (purifier + m classifier).

        Args:
            num_estimate: noisy copies (N).
            num_local: local noises of each (m).
        """
        return num_estimate * (self.purify + num_local * self.classify)


CLASSIFIER_CALLS = Cost(purify=0.0, classify=1.0)
"""Of which the purifier takes none, as in the tables of the paper."""

_NO_IMAGE = {"image_key": [""], "stream": ["cost"], "block": [0]}


def classifier_calls(run: Run) -> Cost:
    """Return how many classifiers are called: one, or the members of an ensemble.

    Args:
        run: with weights as the recipe names them.
    """
    classifier = run.classifier
    networks = len(classifier.members) if isinstance(classifier, Ensemble) else 1
    calls = float(networks * run.purifier.samples_per_copy)
    return Cost(CLASSIFIER_CALLS.purify, calls)


def flops(run: Run, sample: Sample) -> Cost:
    """Count the floating-point operations of one copy, in this process.

    A multiplication and the addition that follows it are two operations; layers that
    PyTorch's counter does not know, such as normalisations, are not in it.

    Args:
        run: with weights resolved.
        sample: whose first image has the copy's shape.
    """
    worker = Worker(torch.device("cpu"), batch=1, load=load_weights)
    purify, classify = _calls(run, worker)
    image = torch.as_tensor(sample.images[0])[None]
    samples = run.purifier.samples_per_copy
    return Cost(_counted(purify, image), samples * _counted(classify, image))


def seconds(run: Run, sample: Sample) -> Cost:
    """Measure the seconds of one copy where votes would be cast.

    Args:
        run: with weights resolved.
        sample: whose first image has the copy's shape.

    Raises:
        ValueError: the cluster is too small, or the networks do not take the image.
    """
    return in_worker(_measured, run, sample, asked_by="tune")


def _measured(run: Run, sample: Sample, settings: WorkerSettings) -> Cost:
    worker = settings.open()
    image = torch.as_tensor(sample.images[0]).to(worker.device)
    copies = image.expand(worker.batch, *image.shape).contiguous()
    with torch.inference_mode():
        each = [_median(call, copies, worker) for call in _calls(run, worker)]
    purify, classify = (one / worker.batch for one in each)
    own = 0.0 if run.purifier.kind == "nothing" else purify
    return Cost(own, run.purifier.samples_per_copy * classify)


def _calls(
    run: Run, worker: Worker
) -> tuple[Callable[[torch.Tensor], torch.Tensor], ...]:
    """Return what purifies copies and what classifies them."""
    purify = Purify(purifier=run.purifier, sigma=run.sigma, seed=run.seed).open(worker)
    classifier = run.classifier
    whole = classifier.whole if isinstance(classifier, Ensemble) else classifier
    network = whole.open(worker)
    return (
        lambda copies: purify({"noisy": copies[None], **_NO_IMAGE})["purified"][0],
        lambda copies: in_batches(network, copies, worker.batch),
    )


def _counted(
    call: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor
) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call(image)
    return float(counter.get_total_flops())


def _median(
    call: Callable[[torch.Tensor], torch.Tensor], copies: torch.Tensor, worker: Worker
) -> float:
    """Return the median time of a call, after one that warms up."""
    times: list[float] = []
    call(copies)
    while sum(times) < _LEAST_SECONDS or len(times) < _LEAST_TIMES:
        began = time.perf_counter()
        call(copies)
        if worker.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
