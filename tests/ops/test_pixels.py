import numpy as np
import torch

from ops.pixels import from_bytes, to_bytes, to_signed, to_unit


def test_signed_range_spans_minus_one_to_one_and_back() -> None:
    image = torch.tensor([0.0, 0.25, 0.5, 1.0])
    assert to_signed(image).tolist() == [-1.0, -0.5, 0.0, 1.0]
    assert torch.equal(to_unit(to_signed(image)), image)


def test_noise_is_twice_as_strong_on_the_signed_range() -> None:
    image, noise = torch.tensor([0.25]), torch.tensor([0.125])
    assert to_signed(image + noise) == to_signed(image) + 2 * noise


def test_every_byte_survives_the_way_to_pixels_and_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8)
    image = from_bytes(pixels)
    expected = (np.arange(256) / 255).astype(np.float32)
    np.testing.assert_array_equal(image.numpy(), expected)
    assert torch.equal(to_bytes(image), pixels)


def test_bytes_of_noisy_pixels_saturate() -> None:
    assert to_bytes(torch.tensor([-0.5, 1.5])).tolist() == [0, 255]
