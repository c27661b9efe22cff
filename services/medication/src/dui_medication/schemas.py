"""The schema of what is the same for every association."""

from __future__ import annotations

from typing import Final

#: Written by the operator, read by the service (ADR 28).
REFERENCE: Final = "reference"
