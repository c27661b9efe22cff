"""What the guard and the calls of a process share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Engine

from dui_kit.calls.seals import Seals
from dui_kit.calls.validate import Validator
from dui_kit.errors import Refusal
from dui_kit.wire.tokens import Claims


class Verifier(Protocol):
    """Verifies access tokens."""

    def verify(self, raw: str) -> Claims:
        """The claims of a token; TokenRefused when it proves nothing."""


class Refreshes(Protocol):
    """Asks the owners of the facts on a denial."""

    def refresh(self, *, tenant_id: str, subject: str, beneficiary_id: str, facility_id: str) -> None:
        """Applies what they answer, so that the call can be decided again."""


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What the guard and the calls share."""

    service: str
    engine: Engine
    verifier: Verifier
    validator: Validator
    seals: Seals
    refresher: Refreshes | None
    #: The service owns the rights itself: they are never stale.
    owns_rights: bool
    #: Constraint of the database → what its violation means.
    constraints: Mapping[str, Refusal]
    #: Seconds for which a second factor opens what asks for one.
    step_up_seconds: float = 1800.0
