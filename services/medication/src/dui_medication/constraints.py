"""What the violation of each constraint of the database means to a caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dui_kit.errors import Refusal

#: The service writes nothing yet.
CONSTRAINTS: Final[Mapping[str, Refusal]] = {}
