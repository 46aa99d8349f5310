from collections.abc import Callable

import pytest

from pipelines.recipe import Run
from pipelines.row_facts import FACTS, NOTHING_KNOWN, RowFacts, facts_of, shared_facts

CNN = "{kind: digits_cnn, weights: {untrained: 0}}"
RESNET = (
    "{{kind: cifar_resnet, depth: {}, shortcut: B, input: cifar10, "
    "weights: {{untrained: {}}}}}"
)
TIMM = "{kind: timm, name: resnet50.tv_in1k, weights: {untrained: 0}}"
DDPM = "{kind: one_shot_ddpm, weights: {path: p}}"


def ensemble(*members: str) -> str:
    return f"{{kind: ensemble, members: [{', '.join(members)}]}}"


FIVE = [RESNET.format(20, seed) for seed in range(5)]


@pytest.mark.parametrize(
    ("classifier", "name"),
    [
        (CNN, "digits CNN"),
        (TIMM, "resnet50.tv_in1k"),
        (RESNET.format(110, 0), "ResNet-110"),
        (ensemble(*FIVE), "5 x ResNet-20"),
        (ensemble(*FIVE[:2], RESNET.format(110, 0)), "2 x ResNet-20 + ResNet-110"),
    ],
)
def test_a_classifier_is_called_by_its_network(
    run_of: Callable[..., Run], classifier: str, name: str
) -> None:
    assert facts_of(run_of(f"classifier={classifier}")).architecture == name


def test_a_recipe_may_call_its_network_otherwise(run_of: Callable[..., Run]) -> None:
    facts = facts_of(run_of("about.architecture=ViT-B/16"))

    assert facts.architecture == "ViT-B/16"


@pytest.mark.parametrize(
    ("settings", "purifier_calls", "classifier_calls"),
    [
        (["local.num=1"], 0, 1),
        (["local.num=5"], 0, 5),
        ([f"purifier={DDPM}", "local.num=5"], 1, 5),
        ([f"classifier={ensemble(*FIVE)}", "local.num=1"], 0, 5),
        ([f"purifier={DDPM}", f"classifier={ensemble(*FIVE)}"], 1, 15),
    ],
)
def test_a_noisy_copy_costs_a_call_of_each_network_it_is_shown(
    run_of: Callable[..., Run],
    settings: list[str],
    purifier_calls: int,
    classifier_calls: int,
) -> None:
    facts = facts_of(run_of(*settings))

    assert facts.purifier_calls == purifier_calls
    assert facts.classifier_calls == classifier_calls


def test_what_no_run_can_find_out_is_blank_until_it_is_said(
    run_of: Callable[..., Run],
) -> None:
    silent = facts_of(run_of()).texts()
    telling = facts_of(run_of("about={extra_data: false, off_the_shelf: true}")).texts()

    assert dict(zip(FACTS, silent, strict=True))["extra_data"] == ""
    assert silent == ["digits CNN", "", "", "0", "3"]
    assert telling == ["digits CNN", "no", "yes", "0", "3"]
    assert NOTHING_KNOWN.texts() == [""] * 5


def test_rows_share_what_none_of_them_has_otherwise() -> None:
    near = RowFacts("A", True, False, purifier_calls=0, classifier_calls=1)
    far = RowFacts("B", True, None, purifier_calls=0, classifier_calls=5)

    assert shared_facts([near]) == near
    assert shared_facts([near, far]) == RowFacts(extra_data=True, purifier_calls=0)
