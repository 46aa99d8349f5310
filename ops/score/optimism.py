"""By how much the best of several settings looks better than it is."""

from scipy.integrate import quad
from scipy.stats import norm


def optimism(num_settings: int, standard_error: float) -> float:
    """Return the expected excess of the best of several equally good settings.

    Scored independently, each with a normal error, the best of them seems better than
    all really are; on images that all share, by less.

    Args:
        num_settings: compared, at least 1.
        standard_error: of one setting's score.

    Returns:
        In the unit of the score: the standard error times the mean of the largest of
        so many standard normal numbers.

    Source:
        David and Nagaraja 2003, "Order statistics", section 3.1.
    """

    def density(z: float) -> float:
        below = norm.cdf(z) ** (num_settings - 1)
        return float(num_settings * z * norm.pdf(z) * below)

    mean, _ = quad(density, -12.0, 12.0)
    return max(0.0, mean) * standard_error
