"""How votes become certificates, and when to stop asking for more."""

from typing import Annotated

from pydantic import Field

from ops.certify.fixed import Fixed
from ops.certify.sequential import Sequential

Rule = Annotated[Fixed | Sequential, Field(discriminator="kind")]
