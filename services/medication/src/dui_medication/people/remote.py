"""What medication asks other services with its own token: who signs, and whom a prescription is for.

The record is asked anew whenever something is checked or signed, so that an allergy of a minute ago counts. What it said is kept
sealed: while records is away, that is what is known, with its age.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

import grpc
import httpx
from dui.identity.v1 import directory_pb2
from dui.records.v1 import identity_strips_pb2
from dui_kit.calls.call import Call
from dui_kit.calls.credentials import ServiceToken
from dui_kit.db.statements import Query
from dui_kit.errors import Refusal
from dui_kit.settings import ServiceSettings
from dui_kit.times import from_timestamp
from dui_kit.wire.clients import Breaker, Client
from dui_kit.wire.telemetry import log
from google.protobuf.message import Message
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from dui_medication.people.rules import DIRECTORY_AWAY, PRESCRIBER_UNKNOWN, full_name
from dui_medication.people.tables import identity_strip

#: Seconds that another service has: a prescriber waits for it.
SECONDS = 1.5
#: One that did not answer for twice in a row is left alone for so long.
FAILURES, PAUSE_SECONDS = 2, 2.0
_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_DIRECTORY = "dui.identity.v1.DirectoryService/GetPrescriber"
_STRIP = "dui.records.v1.IdentityStripService/GetIdentityStrip"

M = TypeVar("M", bound=Message)

_s = identity_strip.c
_KEPT = Query(
    select(_s.read_at, _s.sealed).where(
        _s.tenant_id == bindparam("tenant"), _s.beneficiary_id == bindparam("beneficiary_id")
    )
)
_new = insert(identity_strip).values(tenant_id=bindparam("tenant"))
_KEEP = Query(
    _new.on_conflict_do_update(
        index_elements=[_s.tenant_id, _s.beneficiary_id],
        set_={"read_at": _new.excluded.read_at, "sealed": _new.excluded.sealed},
        where=_s.read_at < _new.excluded.read_at,
    )
)


@dataclass(frozen=True, slots=True)
class Strip:
    """What the record says of a person."""

    content: identity_strips_pb2.IdentityStrip
    read_at: datetime
    #: It was read now, not kept from before.
    current: bool


class People(Protocol):
    """Who signs, and whom a prescription is for."""

    def professional(self, call: Call, facility_id: str, *, field: str) -> directory_pb2.Prescriber:
        """The caller, as the directory knows them at a facility; Refusal when it does not know, or is away."""

    def strip(self, call: Call) -> Strip | None:
        """The person of the call, as the record says now, or as it said last; None: it is away, and nothing was kept."""

    def keep(self, call: Call, strip: Strip) -> None:
        """Keeps what the record said, for when it is away."""


class Unanswered(Exception):
    """No answer, or none that says anything: `reason` is a gRPC status, or why there is no token to ask with."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Neighbour:
    """A service that is asked with the token of this one, and left alone while it does not answer."""

    def __init__(self, target: str, token: ServiceToken) -> None:
        self._client, self._token = Client(target), token
        self._breaker = Breaker(failures=FAILURES, seconds=PAUSE_SECONDS)

    def ask(self, operation: str, request: Message, reply: type[M]) -> M:
        """Its answer; Unanswered when there is none."""
        if not self._breaker.may_ask():
            raise Unanswered("PAUSED")
        try:
            token = self._token.get(timeout=SECONDS)
            answer = self._client.call(operation, request, reply, token=token, timeout=SECONDS)
        except httpx.HTTPError as error:
            self._breaker.failed()
            raise Unanswered(f"NO_TOKEN {type(error).__name__}") from None
        except grpc.RpcError as error:
            # The errors of grpc are calls too; the type stubs do not know it.
            code = getattr(error, "code", lambda: None)()
            if code in _AWAY:
                self._breaker.failed()
            else:
                self._breaker.answered()
            raise Unanswered(getattr(code, "name", type(error).__name__)) from None
        self._breaker.answered()
        return answer


def name_of_caller(people: People, call: Call, facility_id: str) -> str:
    """The caller's name, as the directory says at a facility; empty when it does not know them there, or is away: what somebody has
    to say of a treatment is not lost for want of a name."""
    try:
        who = people.professional(call, facility_id, field="prescription_line_id")
    except Refusal:
        return ""
    return full_name(who.given_name, who.family_name)


class RemotePeople:
    """Asks identity and records."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Nothing is opened yet."""
        self._token = ServiceToken(settings)
        self._identity = _Neighbour(settings.identity_target, self._token)
        self._records = _Neighbour(settings.records_target, self._token)

    def professional(self, call: Call, facility_id: str, *, field: str) -> directory_pb2.Prescriber:
        """The caller, as identity knows them at a facility."""
        request = directory_pb2.GetPrescriberRequest(
            tenant_id=call.tenant_id, account_id=call.caller.account_id or "", facility_id=facility_id
        )
        try:
            reply = self._identity.ask(_DIRECTORY, request, directory_pb2.GetPrescriberResponse)
        except Unanswered as error:
            if error.reason == grpc.StatusCode.NOT_FOUND.name:
                raise Refusal(PRESCRIBER_UNKNOWN, field=field) from None
            log.warning("identity could not be asked who signs", reason=error.reason)
            raise Refusal(DIRECTORY_AWAY) from None
        return reply.prescriber

    def strip(self, call: Call) -> Strip | None:
        """The person of the call, as records says."""
        request = identity_strips_pb2.GetIdentityStripRequest(
            tenant_id=call.tenant_id, beneficiary_id=call.beneficiary_id
        )
        try:
            strip = self._records.ask(_STRIP, request, identity_strips_pb2.GetIdentityStripResponse).strip
        except Unanswered as error:
            log.warning("records could not be asked for a person", reason=error.reason)
            return self._kept(call)
        if not {strip.beneficiary_id, strip.surviving_id} & set(call.beneficiary_ids):
            # Somebody else's allergies would be worse than none.
            log.error("records answered about another person than the one asked for")
            return self._kept(call)
        return Strip(strip, from_timestamp(strip.read_at), current=True)

    def keep(self, call: Call, strip: Strip) -> None:
        """Keeps it sealed, unless it was kept already."""
        if strip.current:
            sealed = call.toolbox.seals.seal(strip.content.SerializeToString(), _context(call))
            call.write(_KEEP, beneficiary_id=call.beneficiary_id, read_at=strip.read_at, sealed=sealed)

    def _kept(self, call: Call) -> Strip | None:
        row = call.row(_KEPT, beneficiary_id=call.beneficiary_id)
        if row is None:
            return None
        opened = call.toolbox.seals.opened(row.sealed, _context(call))
        if opened is None:
            log.warning("what was kept of a person was sealed with another key, or altered")
            return None
        kept = identity_strips_pb2.IdentityStrip.FromString(opened)
        if not {kept.surviving_id, *kept.merged_beneficiary_ids}.issuperset(call.beneficiary_ids):
            return None  # of before a merge: the allergies of the other record are not in it
        return Strip(kept, row.read_at, current=False)


def _context(call: Call) -> bytes:
    """What a strip is sealed for."""
    return f"identity_strip|{call.tenant_id}|{call.beneficiary_id}".encode()
