"""`floor_read`: the same read through the same libraries and nothing else: Flask under granian, gRPC, SQLAlchemy. No token,
no policy, no row-level security, no journal, no trace. What the platform costs beyond this is what it adds.

`FLOOR_URL=… python -m tests.bench.floor service PORT` and `… gateway PORT SERVICE_PORT`.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from dui.records.v1 import beneficiaries_pb2

METHOD = "/dui.records.v1.BeneficiaryService/GetBeneficiary"


def service(port: int, url: str) -> None:
    """A gRPC server of four threads that reads one row through the ORM."""
    from dui_records.beneficiaries.tables import beneficiary
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.orm import DeclarativeBase, Session

    class Base(DeclarativeBase):
        metadata = beneficiary.metadata

    class Person(Base):
        __table__ = beneficiary
        __mapper_args__ = {"primary_key": [beneficiary.c.beneficiary_id]}  # noqa: RUF012 (SQLAlchemy's shape)

    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=4,
        connect_args={"application_name": "dui-bench-floor"},
    )

    def get(request: beneficiaries_pb2.GetBeneficiaryRequest, _context: grpc.ServicerContext) -> Any:
        with Session(engine) as session:
            row: Any = session.get_one(Person, request.beneficiary_id)
            found = beneficiaries_pb2.Beneficiary(
                beneficiary_id=row.beneficiary_id,
                birth_name=row.birth_name,
                birth_given_names=row.birth_given_names,
                birth_date=row.birth_date,
                sex=row.sex,
                used_name=row.used_name,
                used_given_name=row.used_given_name,
                identity_status=row.identity_status,
                fictitious=row.fictitious,
            )
            session.commit()
        return beneficiaries_pb2.GetBeneficiaryResponse(beneficiary=found)

    server = grpc.server(ThreadPoolExecutor(4))
    handler = grpc.unary_unary_rpc_method_handler(
        get,
        request_deserializer=beneficiaries_pb2.GetBeneficiaryRequest.FromString,
        response_serializer=beneficiaries_pb2.GetBeneficiaryResponse.SerializeToString,
    )
    name, _, rpc = METHOD[1:].partition("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {rpc: handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def create() -> Any:
    """The Flask application: one route, its JSON written by orjson from named fields."""
    import orjson
    from flask import Flask, Response

    app = Flask("floor")
    channel = grpc.insecure_channel(f"127.0.0.1:{os.environ['FLOOR_SERVICE_PORT']}")
    get = channel.unary_unary(
        METHOD,
        request_serializer=beneficiaries_pb2.GetBeneficiaryRequest.SerializeToString,
        response_deserializer=beneficiaries_pb2.GetBeneficiaryResponse.FromString,
    )

    @app.get("/v1/beneficiaries/<beneficiary_id>")
    def read(beneficiary_id: str) -> Response:
        request = beneficiaries_pb2.GetBeneficiaryRequest(beneficiary_id=beneficiary_id)
        found = get(request, timeout=5, wait_for_ready=True).beneficiary
        body = {
            "beneficiary_id": found.beneficiary_id,
            "birth_name": found.birth_name,
            "birth_given_names": list(found.birth_given_names),
            "birth_date": found.birth_date,
            "sex": beneficiaries_pb2.Sex.Name(found.sex),
            "identity_status": beneficiaries_pb2.IdentityStatus.Name(found.identity_status),
            "fictitious": found.fictitious,
        }
        return Response(orjson.dumps(body), content_type="application/json")

    return app


def gateway(port: int, service_port: int) -> None:
    """Granian with the same settings as the platform's gateway."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels

    os.environ["FLOOR_SERVICE_PORT"] = str(service_port)
    Granian(
        "tests.bench.floor:create",
        factory=True,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        blocking_threads=16,
        runtime_threads=1,
        websockets=False,
        log_level=LogLevels.warning,
    ).serve()


if __name__ == "__main__":
    if sys.argv[1] == "service":
        service(int(sys.argv[2]), os.environ["FLOOR_URL"])
    else:
        gateway(int(sys.argv[2]), int(sys.argv[3]))
