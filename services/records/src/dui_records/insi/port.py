"""The way to INSi, and the one adapter there is until the platform is connected to it.

A real adapter (web service of the GIE SESAM-Vitale, mutual TLS) replaces `NotConnected` in `app.py` and nothing else
changes. It runs inside the call's transaction: its own timeout must be shorter than the call's deadline.
"""

from __future__ import annotations

from typing import Protocol

from dui_kit.errors import Refusal

from dui_records.beneficiaries.rules import StrictTraits
from dui_records.insi.rules import INSI_NOT_CONNECTED, InsiAnswer


class InsiPort(Protocol):
    """Asks the national service who somebody is."""

    def retrieve(self, traits: StrictTraits) -> InsiAnswer:
        """The answer of INSi for strict traits; Refusal when it cannot be asked."""
        ...


class NotConnected:
    """The platform is not connected to INSi: every request is refused, and no identity becomes RECUPEREE or QUALIFIEE."""

    def retrieve(self, traits: StrictTraits) -> InsiAnswer:  # noqa: ARG002 (the port's signature)
        """Refuses with INSI_NOT_CONNECTED."""
        raise Refusal(INSI_NOT_CONNECTED)
