"""Keeping what medication says of treatments: whenever a line changes, and now and then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import cast

import grpc
from dui.medication.v1 import events_pb2
from dui_kit.calls.seals import Seals
from dui_kit.wire.telemetry import log
from dui_kit.worker import Consumer, Event, Job, Reject, WorkerCall, WorkerContext
from dui_kit.worker.streams import event_stream

from dui_records.treatment_summaries import queries
from dui_records.treatment_summaries.remote import KEEPER_SECONDS, Away, Treatments
from dui_records.treatment_summaries.rules import REFRESH_AFTER

SUBJECT = "dui.medication.*.prescription_line.v1.changed"
#: Events taken at once. Each person of them is asked for once, and each question is waited for.
BATCH = 50


class Keeper:
    """Keeps treatments, for when medication is away."""

    def __init__(self, treatments: Treatments, seals: Callable[[], Seals]) -> None:
        """`seals`: what they are kept sealed with, opened when the first one is."""
        self._treatments = treatments
        self._seals = seals

    def consumer(self) -> Consumer:
        """Hears of every change of a line.

        What is kept is read anew, never computed from the event: an event that comes again, or late, changes nothing.
        """
        return Consumer(
            name="records",
            purpose="treatments",
            stream=event_stream("medication"),
            subjects=(SUBJECT,),
            handler=lambda call, event: self.changed(call, [event]),
            many=self.changed,
            idempotent=True,
            batch=BATCH,
        )

    def job(self) -> Job:
        """Asks anew for what is old, and for what a merge has made a half."""
        return Job(name="refresh-treatment-summaries", every_seconds=600, run=self._refresh)

    def changed(self, call: WorkerCall, events: Sequence[Event]) -> None:
        """Asks once for each person whose lines changed; raises `Away` while nobody answers, so that the events wait."""
        records = {cast("events_pb2.PrescriptionLineChanged", event.message).beneficiary_id for event in events}
        persons = queries.persons(call, records)
        if not records <= {record for person in persons for record in person}:
            raise Reject("PERSON_UNKNOWN")
        for person in persons:
            self._keep(call, person)

    def _refresh(self, context: WorkerContext) -> None:
        for tenant_id in context.tenants():
            with context.transaction(tenant_id) as call:
                persons = queries.persons(call, queries.due(call, call.now - REFRESH_AFTER))
            if not self._refresh_each(context, tenant_id, persons):
                return

    def _refresh_each(self, context: WorkerContext, tenant_id: str, persons: Collection[tuple[str, ...]]) -> bool:
        """Each in a transaction of its own, so that none lasts. False: medication is away or the worker ends; the rest is due."""
        for person in persons:
            if context.stopping():
                return False
            try:
                with context.transaction(tenant_id) as call:
                    self._keep(call, person)
            except Away:
                return False
            except grpc.RpcError as error:
                # What is wrong with one person must not keep the others from being asked for.
                code = getattr(error, "code", lambda: None)()
                log.warning("a treatment could not be asked anew", reason=getattr(code, "name", ""))
        return True

    def _keep(self, call: WorkerCall, person: tuple[str, ...]) -> None:
        parts = self._treatments.ask(call.tenant_id, person, seconds=KEEPER_SECONDS)
        queries.keep(call, self._seals(), parts)
