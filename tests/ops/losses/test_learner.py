import pytest
import torch
from torch import nn

from ops.losses.learner import Learner


def learner_of(module: nn.Module) -> Learner:
    return Learner(predict=module, module=module, bare=module)


def test_at_rest_neither_statistics_nor_gradients_of_weights_move() -> None:
    module = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    before = {name: one.clone() for name, one in module.state_dict().items()}
    image = torch.rand(5, 3, requires_grad=True)

    with learner_of(module).at_rest() as scores:
        torch.autograd.grad(scores(image).sum(), image)
        assert not module.training

    assert module.training
    assert all(weight.grad is None for weight in module.parameters())
    for name, one in module.state_dict().items():
        assert torch.equal(one, before[name])


def test_a_network_that_rested_before_rests_afterwards() -> None:
    module = nn.Linear(3, 2).eval()

    with learner_of(module).at_rest():
        pass

    assert not module.training


@pytest.mark.parametrize(
    ("precision", "inside"),
    [(torch.float16, torch.float32), (torch.bfloat16, torch.bfloat16)],
)
def test_attacks_leave_float16_alone(
    precision: torch.dtype, inside: torch.dtype
) -> None:
    module = nn.Linear(3, 2)

    with torch.autocast("cpu", dtype=precision):
        with learner_of(module).at_rest() as scores:
            found = scores(torch.rand(1, 3)).dtype
        after = module(torch.rand(1, 3)).dtype

    assert found == inside
    assert after == precision


def test_an_error_in_an_attack_wakes_the_network_again() -> None:
    module = nn.Linear(3, 2)

    def attack() -> None:
        with learner_of(module).at_rest():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attack()
    assert module.training
