"""By what network purified images are compared with clean ones, and how it is named."""

from dataclasses import dataclass

from ops.classify.classifier import Classifier
from ops.classify.ensemble import Ensemble
from ops.losses.lpips_vgg import LpipsVgg
from ops.losses.metric import Features, Metric
from ops.weights import WeightsRef
from pipelines.sample import Sample
from pipelines.weight_files import found


@dataclass(frozen=True)
class Distance:
    """A metric, and what tables say of it."""

    metric: Metric
    said: str


def lpips_of(file: str) -> Distance:
    """Return LPIPS with the weights of a file.

    Args:
        file: a VGG16 trained on ImageNet.

    Raises:
        FileNotFoundError: it is not there.
    """
    weights = found(WeightsRef(path=file), {})
    return Distance(LpipsVgg(weights=weights), f"LPIPS of VGG16 {_named(weights)}")


def features_of(classifier: Classifier) -> Distance:
    """Return the distance of a classifier's own features.

    Args:
        classifier: with weights resolved; of an ensemble, the first member is taken.
    """
    members = classifier.members if isinstance(classifier, Ensemble) else (classifier,)
    first = members[0]
    name = getattr(first, "name", first.kind)
    member = "the first member " if len(members) > 1 else ""
    said = f"features of {member}{name} {_named(first.weights)}"
    return Distance(Features(classifier=first), said)


def require_colours(sample: Sample) -> None:
    """Refuse images that LPIPS does not take.

    Args:
        sample: at least one image.

    Raises:
        ValueError: they have not 3 channels.
    """
    channels = sample.images[0].shape[0]
    if channels != 3:
        raise ValueError(
            f"--lpips needs images of 3 channels; those of the recipe have {channels}. "
            f"Leave --lpips out: features of the recipe's classifier measure then."
        )


def _named(weights: WeightsRef) -> str:
    """Return which weights these are, as a table says it."""
    if weights.untrained is not None:
        return f"(untrained, seed {weights.untrained})"
    return f"(sha256 {(weights.sha256 or '')[:12]})"
