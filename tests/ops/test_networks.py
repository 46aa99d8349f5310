import torch
from torch import nn

from ops.columns import Worker
from ops.networks import fill, place, read_weights, to_network
from ops.weights import Weights, WeightsRef

CPU = torch.device("cpu")


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_untrained_weights_are_filled_in_without_reading_anything() -> None:
    reference = WeightsRef(untrained=7)
    weights = read_weights(reference, Worker(CPU))
    first, second = (fill(network(), reference, weights) for _ in range(2))
    assert torch.equal(first.state_dict()["0.weight"], second.state_dict()["0.weight"])


def test_read_weights_go_in_as_they_are() -> None:
    state = network().state_dict()
    reference = WeightsRef(path="net.pt")
    worker = Worker(CPU, load=lambda asked: Weights(str(asked.path), state))
    filled = fill(network(), reference, read_weights(reference, worker))
    for key, tensor in filled.state_dict().items():
        assert torch.equal(tensor, state[key])


def test_placed_network_neither_learns_nor_looks_at_the_batch() -> None:
    placed = place(network(), Worker(CPU))
    image = torch.rand(3, 3, 6, 6, requires_grad=True)
    together = placed(image)
    assert torch.allclose(together[:1], placed(image[:1]), atol=1e-6)
    (gradient,) = torch.autograd.grad(together.sum(), image)
    assert gradient.abs().sum() > 0
    assert isinstance(placed, nn.Module)
    assert not any(parameter.requires_grad for parameter in placed.parameters())


def test_networks_and_images_are_channels_last_in_the_workers_precision() -> None:
    worker = Worker(CPU, precision=torch.bfloat16)
    placed = place(network(), worker)
    assert isinstance(placed, nn.Module)
    image = to_network(torch.rand(2, 3, 6, 6), worker)
    for tensor in (image, placed.get_parameter("0.weight"), placed(image)):
        assert tensor.dtype == torch.bfloat16
        assert tensor.is_contiguous(memory_format=torch.channels_last)
