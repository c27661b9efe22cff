"""For tests of records: treatments as medication tells them, and a medication that tells them over gRPC with the real contract."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import grpc
from dui.medication.v1 import prescriptions_pb2, treatment_plans_pb2
from dui.medication.v1 import treatment_snapshots_pb2 as medication
from dui_kit.ids import new_id
from dui_kit.times import to_timestamp

from dui_records.treatment_summaries.remote import Parts, apart

ACTIVE = prescriptions_pb2.LINE_STATUS_ACTIVE
#: What records shows medication.
TOKEN = "Bearer token-of-records"  # noqa: S105 (of the tests)


def treatment(
    *record_ids: str, to_review: bool = False, lines: Mapping[str, str] | None = None, **more: str
) -> medication.TreatmentSnapshot:
    """What medication tells of a person now: `record_ids`, the surviving record first; `lines` and `more`: label → record that it
    is of."""
    plan = treatment_plans_pb2
    return medication.TreatmentSnapshot(
        beneficiary_id=record_ids[0],
        merged_beneficiary_ids=record_ids[1:],
        status=plan.TREATMENT_PLAN_STATUS_TO_REVIEW if to_review else plan.TREATMENT_PLAN_STATUS_IN_FORCE,
        lines=[
            medication.TreatmentSnapshotLine(
                prescription_line_id=new_id(),
                beneficiary_id=record_id,
                facility_id=new_id(),
                label=label,
                status=ACTIVE,
            )
            for label, record_id in {**(lines or {}), **more}.items()
        ],
        complete=True,
        read_at=to_timestamp(datetime.now(UTC)),
    )


class KnownTreatments:
    """Stands where the way to medication stands: everybody takes one medicine."""

    def __init__(self, label: str) -> None:
        """`label`: what it is called."""
        self.label = label

    def ask(self, tenant_id: str, record_ids: Sequence[str], *, seconds: float) -> Parts:
        """The treatment of each record."""
        del tenant_id, seconds
        return apart(treatment(*record_ids, lines={self.label: record_ids[0]}))


@dataclass
class FakeMedication:
    """What it knows, whether it answers, and what it was asked."""

    #: By id that is asked for; another one is not found.
    known: dict[str, medication.TreatmentSnapshot] = field(default_factory=dict)
    #: It refuses every call with this.
    fails: grpc.StatusCode | None = None
    #: Seconds that it takes.
    slow: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    tenants: set[str] = field(default_factory=set)
    server: grpc.Server | None = None
    port: int = 0

    def tell(self, *snapshots: medication.TreatmentSnapshot) -> None:
        """From now on it tells this of every record of each person."""
        for snapshot in snapshots:
            for record_id in (snapshot.beneficiary_id, *snapshot.merged_beneficiary_ids):
                self.known[record_id] = snapshot

    def answer(
        self, request: medication.GetTreatmentSnapshotRequest, context: grpc.ServicerContext
    ) -> medication.GetTreatmentSnapshotResponse:
        """The RPC."""
        if dict(context.invocation_metadata()).get("authorization") != TOKEN:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "not the token of records")
        self.asked[request.beneficiary_id] += 1
        self.tenants.add(request.tenant_id)
        time.sleep(self.slow)
        if self.fails is not None:
            context.abort(self.fails, "told to")
        if request.beneficiary_id not in self.known:
            context.abort(grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
        return medication.GetTreatmentSnapshotResponse(snapshot=self.known[request.beneficiary_id])

    def start(self) -> None:
        """Answers, on the port that it had before if it had one."""
        server = grpc.server(ThreadPoolExecutor(max_workers=4))
        handler = grpc.unary_unary_rpc_method_handler(
            self.answer,
            request_deserializer=medication.GetTreatmentSnapshotRequest.FromString,
            response_serializer=medication.GetTreatmentSnapshotResponse.SerializeToString,
        )
        name = medication.DESCRIPTOR.services_by_name["TreatmentSnapshotService"].full_name
        handlers = {"GetTreatmentSnapshot": handler}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        server.start()
        self.server = server

    def stop(self) -> None:
        """Nobody answers any more."""
        if self.server is not None:
            self.server.stop(None).wait()
            self.server = None
