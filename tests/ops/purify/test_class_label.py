"""A class-conditional network that nobody tells the true label."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d import UNet2DModel

from ops.classify.digits_cnn import DigitsCnn
from ops.columns import Worker
from ops.initialise import initialise
from ops.purify.class_label import AveragedLabel, GuessedLabel
from ops.purify.consistency import Consistency
from ops.purify.consistency_scalings import ConsistencySettings, consistency_function
from ops.weights import Weights, WeightsRef

Workers = Callable[..., Worker]

UNET: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "add_attention": False,
    "num_class_embeds": 10,
}
SETTINGS = ConsistencySettings()
SIGMA = 0.5
LEVEL = float(SETTINGS.levels().values()[SETTINGS.levels().nearest(2 * SIGMA)])
CLASSIFIER = DigitsCnn(weights=WeightsRef(untrained=3))


def purifier(**changes: Any) -> Consistency:
    said = {"weights": {"untrained": 0}, "unet": UNET, "model": SETTINGS, **changes}
    return Consistency.model_validate(said)


def network() -> UNet2DModel:
    return initialise(UNet2DModel(**UNET), 0).eval()


def copies() -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    clean = torch.rand(6, 1, 8, 8, generator=random)
    return clean + SIGMA * torch.randn(6, 1, 8, 8, generator=random)


def by_hand(model: UNet2DModel, classes: torch.Tensor) -> torch.Tensor:
    def call(scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return model(scaled, time, class_labels=classes, return_dict=False)[0]

    level = torch.full((len(classes),), LEVEL)
    clean = consistency_function(call, level, SETTINGS)(2 * copies() - 1)
    return (clean.clamp(-1, 1) + 1) / 2


def averaged_by_hand() -> torch.Tensor:
    model = network()
    table = model.get_submodule("class_embedding").get_parameter("weight")
    table.copy_(table.mean(dim=0).expand_as(table))
    return by_hand(model, torch.zeros(6, dtype=torch.long))


@torch.no_grad()
def test_averaged_label_is_a_forward_with_the_mean_of_all_embeddings(
    worker: Workers,
) -> None:
    found = purifier(label=AveragedLabel()).open(worker(), SIGMA)(copies())
    torch.testing.assert_close(found, averaged_by_hand(), rtol=0, atol=1e-6)
    assert (found - by_hand(network(), torch.zeros(6).long())).abs().max() > 0.01


@torch.no_grad()
@pytest.mark.parametrize("look_at", ["noisy", "purified"])
def test_guessed_label_tells_each_copy_its_own_guess(
    worker: Workers, look_at: str
) -> None:
    label = {"kind": "guessed", "classifier": CLASSIFIER, "look_at": look_at}
    found = purifier(label=label).open(worker(), SIGMA)(copies())
    seen = copies().clamp(0, 1) if look_at == "noisy" else averaged_by_hand()
    guess = CLASSIFIER.open(worker())(seen).argmax(dim=1)
    assert len(guess.unique()) > 1
    torch.testing.assert_close(found, by_hand(network(), guess), rtol=0, atol=1e-6)
    other = by_hand(network(), (guess + 1) % 10)
    assert (found - other).abs().flatten(1).amax(dim=1).min() > 1e-3


def test_copy_without_a_guess_has_no_pixels() -> None:
    state = initialise(CLASSIFIER.network(), 3).state_dict()
    broken = {key: torch.full_like(state[key], torch.nan) for key in list(state)[-1:]}
    file = Weights("broken", {**state, **broken})
    worker = Worker(torch.device("cpu"), batch=6, load=lambda reference: file)
    label = GuessedLabel(classifier=DigitsCnn(weights=WeightsRef(path="broken")))
    assert purifier(label=label).open(worker, SIGMA)(copies()).isnan().all()


def test_copy_that_is_no_number_leaves_the_others_as_they_are(worker: Workers) -> None:
    label = GuessedLabel(classifier=CLASSIFIER)
    purify = purifier(label=label).open(worker(), SIGMA)
    broken = copies()
    broken[2, 0, 1, 1] = torch.nan
    found = purify(broken)
    rest = [0, 1, 3, 4, 5]
    assert found[2].isnan().all()
    torch.testing.assert_close(found[rest], purify(copies())[rest])


def test_a_look_at_the_purified_copy_costs_one_more_call() -> None:
    guessed = GuessedLabel(classifier=CLASSIFIER)
    twice = GuessedLabel(classifier=CLASSIFIER, look_at="purified")
    calls = [
        purifier(label=label).calls_at(SIGMA)
        for label in (AveragedLabel(), guessed, twice)
    ]
    assert calls == [1, 1, 2]


@pytest.mark.parametrize("told", ["true_label", {"kind": "true_label"}, {"kind": True}])
def test_true_label_is_refused_with_the_reason(told: Any) -> None:
    with pytest.raises(ValueError, match=r"gives the answer away: .* is void\. Set"):
        purifier(label=told)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {},
            "10 classes and label is none. Set `label` .* the true label is no choice",
        ),
        (
            {"label": {"kind": "averaged"}, "unet": {**UNET, "num_class_embeds": None}},
            "label averaged needs a class-conditional network; untrained .* no classes",
        ),
        (
            {
                "label": GuessedLabel(
                    classifier=CLASSIFIER.model_copy(update={"num_classes": 7})
                )
            },
            "the network's 10 classes; label.classifier has num_classes 7",
        ),
        (
            {
                "unet": {
                    **UNET,
                    "num_class_embeds": None,
                    "class_embed_type": "timestep",
                }
            },
            "needs a table of classes, .* class_embed_type 'timestep'",
        ),
    ],
)
def test_networks_and_labels_that_do_not_go_together_are_refused(
    worker: Workers, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        purifier(**changes).open(worker(), SIGMA)
