from collections.abc import Callable

import torch
from pydantic import TypeAdapter

from ops.classify.classifier import Classifier
from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.weights import WeightsRef


def test_recipe_chooses_a_small_network_for_grey_digits() -> None:
    settings = {"kind": "digits_cnn", "weights": {"untrained": 0}}
    classifier = TypeAdapter(Classifier).validate_python(settings)
    assert isinstance(classifier, DigitsCnn)
    network = classifier.network()
    assert 20_000 < sum(part.numel() for part in network.parameters()) < 30_000


@torch.no_grad()
def test_logits_of_an_image_do_not_depend_on_the_rest_of_the_batch(
    worker: Callable[..., Worker],
) -> None:
    classify = DigitsCnn(weights=WeightsRef(untrained=1)).open(worker())
    image = torch.linspace(0, 1, 4 * 64).reshape(4, 1, 8, 8)
    other = image.clone()
    other[1:] = 1 - other[1:]
    logits = classify(image)
    assert logits.shape == (4, 10)
    assert logits.std() > 0.1
    assert torch.equal(logits[0], classify(other)[0])
