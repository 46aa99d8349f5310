"""How votes become certificates, and when to stop asking for more."""

from typing import Annotated

from pydantic import Field

from ops.certify.cascade import Cascade
from ops.certify.fixed import Fixed
from ops.certify.sequential import Sequential

Rule = Annotated[Fixed | Sequential | Cascade, Field(discriminator="kind")]
