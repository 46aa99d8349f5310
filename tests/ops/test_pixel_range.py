import numpy as np
import pytest

from ops.pixel_range import require_unit


def test_black_and_white_are_inside_the_unit_range() -> None:
    image = np.array([0.0, 1.0], np.float32)
    assert require_unit(image, "digits_0000") is image


@pytest.mark.parametrize("pixel", [-0.001, 1.001, float("nan"), float("inf")])
def test_pixels_outside_the_unit_range_are_refused_with_the_image_named(
    pixel: float,
) -> None:
    image = np.array([0.5, pixel], np.float32)
    with pytest.raises(ValueError, match=r"pixels in \[0, 1\]; image 'digits_0007'"):
        require_unit(image, "digits_0007")
