"""Every attack a training objective can name."""

from typing import Annotated

from pydantic import Field

from ops.attack.ddn import Ddn
from ops.attack.pgd_l2 import PgdL2

Attack = Annotated[PgdL2 | Ddn, Field(discriminator="kind")]
"""A goal, images and a radius in, shifted images out; chosen by ``kind``."""
