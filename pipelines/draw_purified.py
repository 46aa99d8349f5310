"""Images, their noisy copies and what purifiers make of them, as one picture."""

import io
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Pictures = UInt8[np.ndarray, "image channel height width"]

LEAST_PIXELS = 96
"""Height of a small image in the picture, at least; every pixel becomes a square."""

GAP = 4
"""White pixels between images."""

# A power of two, so that a size in pixels is exact in inches.
_DPI = 128
_FONT_POINTS = 9
_LETTER_PIXELS = 10
_TITLE_PIXELS = 28


def draw_purified(rows: Mapping[str, Pictures], title: str) -> bytes:
    """Draw rows of images with their labels at the left, to the same bytes always.

    Grey images stay grey. Small images are enlarged by a whole number, pixel by pixel;
    none is made smaller.

    Args:
        rows: images by label, all of one shape and as many in each row.
        title: said above them.

    Returns:
        A PNG of :func:`size_of` pixels.
    """
    first = next(iter(rows.values()))
    width, height = size_of(rows)
    left = _margin(rows)
    tile = _pitch(first)[0]
    with rc_context({"font.family": "monospace", "font.size": _FONT_POINTS}):
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
        FigureCanvasAgg(figure)
        # In pixels, so that nothing is resampled.
        figure.figimage(_grid(rows), xo=left, yo=0, origin="upper")
        figure.text(
            left / width, 1 - _TITLE_PIXELS / 2 / height, title, va="center_baseline"
        )
        for number, label in enumerate(rows):
            middle = _TITLE_PIXELS + GAP + number * tile + (tile - GAP) / 2
            figure.text(
                (left - _LETTER_PIXELS) / width,
                1 - middle / height,
                label,
                ha="right",
                va="center_baseline",
            )
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    return picture.getvalue()


def size_of(rows: Mapping[str, Pictures]) -> tuple[int, int]:
    """Return width and height of a picture in pixels.

    Args:
        rows: as :func:`draw_purified` takes them.
    """
    first = next(iter(rows.values()))
    down, across = _pitch(first)
    width = _margin(rows) + GAP + len(first) * across
    return width, _TITLE_PIXELS + GAP + len(rows) * down


def _margin(rows: Mapping[str, Pictures]) -> int:
    return _LETTER_PIXELS * (2 + max(map(len, rows)))


def _scale(first: Pictures) -> int:
    return math.ceil(LEAST_PIXELS / first.shape[2])


def _pitch(first: Pictures) -> tuple[int, int]:
    """Return from how many pixels to how many images follow, down and across."""
    _, _, height, width = first.shape
    return _scale(first) * height + GAP, _scale(first) * width + GAP


def _grid(rows: Mapping[str, Pictures]) -> UInt8[np.ndarray, "height width 3"]:
    """Return all images on white, without a label."""
    first = next(iter(rows.values()))
    scale, (down, across) = _scale(first), _pitch(first)
    shape = (GAP + len(rows) * down, GAP + len(first) * across, 3)
    grid = np.full(shape, 255, np.uint8)
    for number, pictures in enumerate(rows.values()):
        for place, picture in enumerate(pictures):
            large = picture.repeat(scale, axis=1).repeat(scale, axis=2)
            top, left = GAP + number * down, GAP + place * across
            height, width = large.shape[1:]
            grid[top : top + height, left : left + width] = large.transpose(1, 2, 0)
    return grid
