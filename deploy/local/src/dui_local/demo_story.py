"""What the cases of the demo tell their story with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from dui_kit.wire.contract import label_fr
from dui_ops.state import StackError, State

from dui_local.api import Api, ApiError

SLUG = "les-tilleuls"


class Story:
    """Tells what happens, and stops with a message when it is not what should."""

    def __init__(self, state: State) -> None:
        """`state`: of a stack with demo data."""
        self._state = state
        self.places = state["seed"][SLUG]
        #: The time zone of the facility where it happens; the secretary reads it.
        self.zone = ZoneInfo("UTC")
        self._step = 0
        self._sessions: dict[tuple[str, str], Api] = {}

    @contextmanager
    def person(self, role: str, acr: str = "1") -> Iterator[Api]:
        """Somebody of the association, logged in for real; who comes back is still logged in: a one-time code serves once."""
        account = next(a for a in self._state["accounts"] if a["username"] == f"{role}.{SLUG}")
        self._step += 1
        who = f"{account['name']}, {account['profession']} (compte {account['username']})"
        if (role, acr) in self._sessions:
            print(f"\n{self._step}. {who}, reprend sa session")
        else:
            factor = " (mot de passe et code à usage unique)" if acr == "2" else ""
            print(f"\n{self._step}. {who}, s'identifie{factor}")
            self._sessions[role, acr] = Api(self._state, account, acr)
        yield self._sessions[role, acr]

    def close(self) -> None:
        """Ends the connections of everybody."""
        for session in self._sessions.values():
            session.close()

    def today(self) -> date:
        """The day at the facility where it happens."""
        return datetime.now(self.zone).date()

    @staticmethod
    def tell(text: str) -> None:
        """One thing that happened."""
        print(f"   • {text}")

    def refused(self, what: str, reason: str, act: Callable[[], object], because: str = "") -> None:
        """An act that must be refused for `reason`; StackError when it is not.

        Args:
            because: told instead of the platform's own text, where that speaks to programmers.
        """
        try:
            act()
        except ApiError as refusal:
            if refusal.reason != reason:
                raise
            told = because or str(refusal.problem["detail"]).rstrip(".")
            self.tell(f"{what} → refusé : {told} (HTTP {refusal.status}, {refusal.reason})")
        else:
            raise StackError(f"{what}: should have been refused ({reason})")


def label(kind: Any, name: str) -> str:
    """The French label of a value of an enumeration of the contract."""
    return label_fr(kind.DESCRIPTOR, kind.DESCRIPTOR.values_by_name[name].number)
