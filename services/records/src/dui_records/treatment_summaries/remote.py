"""What records asks medication with its own token: what a person takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import grpc
import httpx
from dui.medication.v1 import treatment_snapshots_pb2 as medication
from dui_kit.calls.credentials import ServiceToken
from dui_kit.wire.clients import Breaker, Client

from dui_records.settings import RecordsSettings

#: Seconds that medication has while somebody waits, and while nobody does.
READER_SECONDS, KEEPER_SECONDS = 0.5, 2.0
#: A medication that did not answer in time for twice in a row is left alone for so long, and then asked once each time: every
#: question to it holds a thread, of the calls or of the consumers that bring revocations.
FAILURES, PAUSE_SECONDS = 2, 2.0

_OPERATION = "dui.medication.v1.TreatmentSnapshotService/GetTreatmentSnapshot"
_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})

#: By record: what was told of each.
Parts = dict[str, medication.TreatmentSnapshot]


class Away(grpc.RpcError):
    """Medication, or what gives the token to ask it with, does not answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def code(self) -> grpc.StatusCode:
        """As any service that is away: a consumer waits for it."""
        return grpc.StatusCode.UNAVAILABLE


class Treatments(Protocol):
    """Where treatments are known."""

    def ask(self, tenant_id: str, record_ids: Sequence[str], *, seconds: float) -> Parts:
        """The treatment of each record of a person. `Away` when nobody answers, grpc.RpcError when it is refused."""


class RemoteTreatments:
    """Asks medication."""

    def __init__(self, settings: RecordsSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is opened yet."""
        self._token = ServiceToken(settings)
        self._medication = Client(settings.medication_target)
        self._clock = clock
        self._breaker = Breaker(failures=FAILURES, seconds=PAUSE_SECONDS, clock=clock)

    def ask(self, tenant_id: str, record_ids: Sequence[str], *, seconds: float) -> Parts:
        """What medication says now of each record.

        One question is enough once medication has heard of every merge of the person; until then it is asked for each record that
        it does not take for theirs yet. What it says of others is not theirs any more, and left out.
        """
        end = self._clock() + seconds
        parts: Parts = {}
        for record_id in record_ids:
            if record_id not in parts:
                told = apart(self._ask(tenant_id, record_id, end))
                if record_id not in told:
                    message = "medication answered for somebody else"
                    raise LookupError(message)
                parts |= {each: part for each, part in told.items() if each in record_ids}
        return parts

    def close(self) -> None:
        """Closes the channel."""
        self._medication.close()

    def _ask(self, tenant_id: str, record_id: str, end: float) -> medication.TreatmentSnapshot:
        if not self._breaker.may_ask():
            raise Away("PAUSED")
        request = medication.GetTreatmentSnapshotRequest(tenant_id=tenant_id, beneficiary_id=record_id)
        try:
            token = self._token.get(timeout=self._left(end))
            reply = self._medication.call(
                _OPERATION, request, medication.GetTreatmentSnapshotResponse, token=token, timeout=self._left(end)
            )
        except httpx.HTTPError as error:
            raise self._away(type(error).__name__) from None
        except grpc.RpcError as error:
            # The errors of grpc are calls too; the type stubs do not know it.
            code = getattr(error, "code", lambda: None)()
            if code in _AWAY:
                raise self._away(code.name) from None
            self._breaker.answered()
            raise
        self._breaker.answered()
        return reply.snapshot

    def _left(self, end: float) -> float:
        return max(0.001, end - self._clock())

    def _away(self, reason: str) -> Away:
        self._breaker.failed()
        return Away(reason)


def apart(snapshot: medication.TreatmentSnapshot) -> Parts:
    """What was told of a person, by record: the lines of each are its own, everything else is told of each."""
    parts: Parts = {}
    together = [snapshot.beneficiary_id, *snapshot.merged_beneficiary_ids]
    for record_id in together:
        parts[record_id] = medication.TreatmentSnapshot(
            beneficiary_id=record_id,
            merged_beneficiary_ids=[other for other in together if other != record_id],
            status=snapshot.status,
            lines=[line for line in snapshot.lines if line.beneficiary_id == record_id],
            complete=snapshot.complete,
            read_at=snapshot.read_at,
        )
    return parts
