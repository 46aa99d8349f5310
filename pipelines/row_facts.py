"""What a row of the table is: the parts of its run, and what a vote costs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields

from ops.classify.cifar_resnet import CifarResnet
from ops.classify.classifier import Classifier
from ops.classify.digits_cnn import DigitsCnn
from ops.classify.ensemble import Ensemble
from ops.classify.timm import Timm
from pipelines.recipe import Run


@dataclass(frozen=True)
class RowFacts:
    """What a row says beside its numbers; ``None`` where nobody knows."""

    architecture: str | None = None
    """Of the classifier."""

    extra_data: bool | None = None
    """Whether a part was trained on more than the data set's training images."""

    off_the_shelf: bool | None = None
    """Whether none of its networks was trained to be smoothed."""

    purifier_calls: int | None = None
    """Calls of the purifier's network for each noisy copy."""

    classifier_calls: int | None = None
    """Calls of the classifier's networks for each noisy copy, at most."""

    def texts(self) -> list[str]:
        """Return a cell for each of ``FACTS``; blank where nobody knows."""
        return [_text(getattr(self, name)) for name in FACTS]


FACTS = tuple(field.name for field in fields(RowFacts))
"""Names of what a row says, in the order of the columns."""

NOTHING_KNOWN = RowFacts()
"""Of certificates that another program made."""


def facts_of(run: Run) -> RowFacts:
    """Return what a recipe says of its row, and what follows from its parts.

    Args:
        run: one recipe at one sigma.
    """
    about, classifier = run.about, run.classifier
    networks = len(classifier.members) if isinstance(classifier, Ensemble) else 1
    return RowFacts(
        architecture=about.architecture or architecture_of(classifier),
        extra_data=about.extra_data,
        off_the_shelf=about.off_the_shelf,
        purifier_calls=run.purifier.calls_at(run.sigma),
        classifier_calls=run.local.num * networks * run.purifier.samples_per_copy,
    )


def architecture_of(classifier: Classifier) -> str:
    """Return what a classifier's network is called, such as ``ResNet-110``.

    Args:
        classifier: description of any kind; an ensemble is called by its members, as
            in ``5 x ResNet-20``.
    """
    match classifier:
        case Ensemble():
            alike = Counter(map(architecture_of, classifier.members))
            several = (f"{num} x {n}" if num > 1 else n for n, num in alike.items())
            return " + ".join(several)
        case Timm():
            return classifier.name
        case CifarResnet():
            return f"ResNet-{classifier.depth}"
        case DigitsCnn():
            return "digits CNN"


def shared_facts(rows: Sequence[RowFacts]) -> RowFacts:
    """Return what several rows agree on; what they do not is ``None``.

    Args:
        rows: one or more.
    """
    agreed = {}
    for name in FACTS:
        values = {getattr(row, name) for row in rows}
        agreed[name] = values.pop() if len(values) == 1 else None
    return RowFacts(**agreed)


def _text(value: str | int | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
