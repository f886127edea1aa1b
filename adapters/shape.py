"""What requests and answers are made of: pydantic's models, each compiled when it is first used."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """A body, a query or an answer. There are a hundred; compiling all was a tenth of the time to start."""

    model_config = ConfigDict(defer_build=True)
