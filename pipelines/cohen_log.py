"""Certificates as the tab-separated log that certification code exchanges."""

from decimal import ROUND_DOWN, Context

from pipelines.curve import Curve

HEADER = ("idx", "label", "predict", "radius", "correct", "time")


def cohen_log(curve: Curve) -> str:
    """Write certificates as a log that readers of published logs can read.

    ``idx`` is the place of the image among those certified, from 0. An abstention has
    class -1 and radius 0.

    Args:
        curve: the certificates of one sigma.

    Returns:
        A header and a line per image, in the order of the certificates.

    Source:
        The format is that of the logs of Cohen, Rosenfeld and Kolter 2019,
        arXiv:1902.02918. Differs: radii are rounded down, so that none is shown on a
        radius it does not reach.
    """
    columns = ("image_key", "label", "guessed_class", "abstained", "radius")
    certificates = zip(*(curve.column(name) for name in columns), strict=True)
    lines = ["\t".join(HEADER)]
    for index, (key, label, guessed, abstained, radius) in enumerate(certificates):
        predicted = -1 if abstained else int(guessed)
        seconds = clock(curve.seconds.get(key, 0.0))
        correct = int(predicted == label)
        length = rounded_down(float(radius))
        lines.append(f"{index}\t{label}\t{predicted}\t{length}\t{correct}\t{seconds}")
    return "\n".join(lines) + "\n"


def rounded_down(value: float) -> str:
    """Write a radius with 3 significant digits, never larger than it is.

    Args:
        value: a distance, at least 0.

    Returns:
        Plain decimal digits; ``0.0`` for zero.
    """
    if value == 0:
        return "0.0"
    three_digits = Context(prec=3, rounding=ROUND_DOWN)
    # Its shortest decimal: 0.978 is stored as 0.97799..., which is not what it means.
    return format(three_digits.create_decimal(repr(value)), "f")


def clock(seconds: float) -> str:
    """Write a duration as ``H:MM:SS.ffffff``; hours may pass 24."""
    microseconds = round(seconds * 1_000_000)
    minutes, rest = divmod(microseconds, 60_000_000)
    whole, fraction = divmod(rest, 1_000_000)
    return f"{minutes // 60}:{minutes % 60:02d}:{whole:02d}.{fraction:06d}"
