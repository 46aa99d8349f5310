"""Every purifier a recipe can name."""

from typing import Annotated

from pydantic import Field

from ops.purify.consistency import Consistency
from ops.purify.dncnn import Dncnn
from ops.purify.edm import Edm
from ops.purify.nothing import Nothing
from ops.purify.one_shot_ddpm import OneShotDdpm
from ops.purify.pf_ode import PfOde
from ops.purify.reverse_chain import ReverseChain

Purifier = Annotated[
    Nothing | OneShotDdpm | Edm | PfOde | ReverseChain | Consistency | Dncnn,
    Field(discriminator="kind"),
]
"""Noisy copies in, clean copies out; chosen by ``kind``."""
