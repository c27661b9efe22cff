"""Traces, metrics and logs of the running platform: one trace from the request to the consumer of its event, every
documented metric, JSON, and nothing personal in any of them.

The programs of the stack are started with a receiver of this test as their collector. The sampler is not touched: the
requests ask to be traced, with the header that a caller's own tracing sends.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from dui.access.v1 import facts_pb2
from dui.journal.v1 import journal_pb2
from dui.records.v1 import events_pb2
from dui_kit.worker.streams import DEAD_LETTER_STREAM, JOURNAL_STREAM, event_stream
from dui_local.demo_story import SLUG
from dui_local.services import SERVICES
from dui_ops.login import login_account
from dui_ops.state import State, load
from google.protobuf import text_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from nats.aio.msg import Msg
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from otlp_receiver import Received, Receiver, eventually, exporting, values
from personal_traffic import Mishaps, Traffic, play_the_demo

ROOT = Path(__file__).resolve().parents[2]
STREAMS = ("DUI_IDENTITY", "DUI_RECORDS", "DUI_JOURNAL")
ENTER = "dui.records.v1.StayService/CreateStay"
#: What a message can be.
TYPES: dict[str, type[Message]] = {
    each.full_name: GetMessageClass(each)
    for file in (facts_pb2, events_pb2, journal_pb2)
    for each in file.DESCRIPTOR.message_types_by_name.values()
}
#: The programs that apply what records says about who is accompanied where.
FOLLOWERS = {f"dui-{name}-worker" for name in SERVICES if name != "records"}
PERIMETER = "dui.records.{tenant}.perimeter.v1.changed"
#: Every attribute that a span may have, and every one that a point of a metric may have.
SPAN_ATTRIBUTES = {
    *("http.request.method", "http.route", "http.response.status_code", "url.scheme", "error.type"),
    *("rpc.system.name", "rpc.method", "rpc.response.status_code"),
    *("db.system.name", "db.namespace", "db.query.summary", "db.query.text", "db.operation.batch.size"),
    *("messaging.system", "messaging.operation.name", "messaging.operation.type", "messaging.message.id"),
    *("messaging.destination.name", "messaging.destination.template", "messaging.consumer.group.name"),
}
POINT_ATTRIBUTES = {"operation", "code", "kind", "consumer", "stream", "reason", "job", "outcome"}
#: Time zones of facilities: somebody may have the name of their city.
ZONES = re.compile(r"\bEurope/Paris\b|\bIndian/Reunion\b")
#: What each source holds that is nobody's: that the search finds it shows that it looks at the right thing.
HARMLESS = {
    "spans": ENTER,
    "metrics": "POST /v1/beneficiaries/{beneficiary_id}/stays",
    "DUI_IDENTITY": "dui.access.v1.BreakGlassChanged",
    "DUI_RECORDS": "dui.access.v1.PerimeterChanged",
    "DUI_JOURNAL": ENTER,
    "gateway.log": "POST /v1/professionals",
    "identity.log": "serving",
    "identity-worker.log": "this worker leads",
    "records.log": "serving",
    "records-worker.log": "this worker leads",
    "keycloak.log": "Profile prod activated",
    "nats.log": "Server is ready",
    "postgres.log": "database system is ready to accept connections",
    "supervisord.log": "spawned",
}

pytestmark = pytest.mark.alone


@dataclass
class Observed:
    """What the platform told while people worked."""

    state: State
    receiver: Receiver
    traffic: Traffic
    unsampled: str
    messages: Sequence[Msg]

    @cached_property
    def texts(self) -> dict[str, str]:
        """Everything that was told, as text, by source."""
        return self.receiver.text() | logs(self.state) | said(self.messages)

    def chain(self) -> list[Received]:
        """The spans of the request of the demo that lets the person of its first case enter."""
        entries = [spans for spans in self.receiver.traces().values() if any(_is(each, ENTER) for each in spans)]
        return min(entries, key=lambda spans: min(each.span.start_time_unix_nano for each in spans))


@pytest.fixture(scope="module")
def observed() -> Iterator[Observed]:
    """The demo and every mishap, and what was told about them."""
    state, traffic = load(), Traffic()
    with Receiver() as receiver, listening(state) as messages, exporting(state, receiver.endpoint):
        unsampled = _unsampled_request(state)
        play_the_demo(state, traffic)
        last = Mishaps(state, traffic).all()
        eventually("the trace of every request", lambda: traffic.traced.keys() - receiver.traces().keys())
        eventually("a whole trace", lambda: _unfinished(receiver, traffic))
        # Logs go through the pipes of one supervisor, which reads all of them in turn: what came before is there too.
        eventually("the end of the logs", lambda: not found_in(logs(state)["postgres.log"], {last}, ()))
        yield Observed(state, receiver, traffic, unsampled, messages)


def _unsampled_request(state: State) -> str:
    """A read whose caller asks not to be traced; returns its trace id."""
    trace_id = secrets.token_hex(16)
    token = login_account(state, f"secretary.{SLUG}").access_token
    headers = {"Authorization": f"Bearer {token}", "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-00"}
    answer = httpx.get(f"{state['urls']['gateway']}/v1/me", headers=headers)
    assert answer.status_code == 200, answer.text
    return trace_id


def _unfinished(receiver: Receiver, traffic: Traffic) -> set[str]:
    """Traces of which a parent has not arrived, or a consumer of the event."""
    unfinished: set[str] = set()
    for trace_id, spans in receiver.traces().items():
        known = {each.span.span_id.hex() for each in spans} | {traffic.traced.get(trace_id, ""), ""}
        entered = any(_is(each, ENTER) for each in spans)
        if not {each.span.parent_span_id.hex() for each in spans} <= known or (
            entered and not {each.program for each in spans if _is(each, f"process {PERIMETER}")} >= FOLLOWERS
        ):
            unfinished.add(trace_id)
    return unfinished


def _is(received: Received, name: str) -> bool:
    return received.span.name == name


# ----------------------------------------------------------------------------------------------------------------- traces


def test_one_trace_goes_from_the_request_to_the_consumer_of_its_event(observed: Observed) -> None:
    spans = observed.chain()
    [trace_id] = {each.span.trace_id.hex() for each in spans}
    http = _only(spans, program="dui-gateway", kind=Span.SPAN_KIND_SERVER)
    assert http.span.parent_span_id.hex() == observed.traffic.traced[trace_id]
    assert http.span.name == "POST /v1/beneficiaries/{beneficiary_id}/stays"
    assert http.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/beneficiaries/{beneficiary_id}/stays",
        "http.response.status_code": 201,
        "url.scheme": "http",
    }

    rpc = _only(spans, program="dui-records", kind=Span.SPAN_KIND_SERVER)
    assert rpc.span.parent_span_id == http.span.span_id
    assert rpc.span.name == ENTER
    assert rpc.attributes == {"rpc.system.name": "grpc", "rpc.method": ENTER, "rpc.response.status_code": "OK"}

    statements = [each for each in spans if each.span.kind == Span.SPAN_KIND_CLIENT and each.program == "dui-records"]
    assert {each.span.parent_span_id for each in statements} == {rpc.span.span_id}
    # What a write changes, announces and journals goes to the database together.
    [insert] = [each for each in statements if "INSERT INTO stay " in str(each.attributes["db.query.text"])]
    assert insert.attributes["db.system.name"] == "postgresql"
    assert insert.attributes["db.namespace"] == "records"
    summary = str(insert.attributes["db.query.summary"])
    assert summary.startswith("BATCH ")
    assert {"INSERT stay", "INSERT entry_version", "INSERT outbox"} <= set(summary.removeprefix("BATCH ").split("; "))

    published = [each for each in spans if each.span.kind == Span.SPAN_KIND_PRODUCER]
    assert {each.program for each in published} == {"dui-records-worker"}
    assert {each.span.parent_span_id for each in published} == {rpc.span.span_id}
    effects = [each for each in spans if each.span.kind == Span.SPAN_KIND_CONSUMER]
    # Every other service follows who is accompanied where; what identity does of it stands for all.
    assert {each.program for each in effects} == FOLLOWERS
    effect = next(each for each in effects if each.program == "dui-identity-worker")
    sent = next(each for each in published if each.span.span_id == effect.span.parent_span_id)
    assert sent.span.name == f"publish {PERIMETER}"
    tenant = observed.state["seed"][SLUG]["tenant_id"]
    message = {
        "messaging.system": "nats",
        "messaging.destination.name": PERIMETER.replace("{tenant}", tenant),
        "messaging.destination.template": PERIMETER,
        "messaging.message.id": sent.attributes["messaging.message.id"],
    }
    assert sent.attributes == message | {"messaging.operation.name": "publish", "messaging.operation.type": "send"}

    assert effect.span.name == f"process {PERIMETER}"
    assert effect.attributes == message | {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "identity__access_records",
    }
    in_order = [http, rpc, insert, sent, effect]
    begun = [each.span.start_time_unix_nano for each in in_order]
    assert begun == sorted(begun)


def test_no_span_is_lost_in_its_trace(observed: Observed) -> None:
    """Every span has a parent that arrived, up to the caller's own: of every request, the refused ones too."""
    assert len(observed.traffic.traced) > 40
    for trace_id, caller in observed.traffic.traced.items():
        spans = observed.receiver.traces()[trace_id]
        assert _only(spans, program="dui-gateway").span.parent_span_id.hex() == caller
    assert not _unfinished(observed.receiver, observed.traffic)


def test_a_caller_decides_whether_they_are_traced(observed: Observed) -> None:
    """One trace in ten is sampled otherwise: that all of those were received is no accident, nor that this one was not."""
    assert observed.state["programs"]["gateway"]["env"]["OTEL_TRACES_SAMPLER_ARG"] == "0.1"
    assert observed.unsampled not in observed.receiver.traces()


def test_a_refusal_is_no_failure_of_the_platform(observed: Observed) -> None:
    spans = observed.receiver.spans()
    refused = [each for each in spans if each.attributes.get("rpc.response.status_code") == "ALREADY_EXISTS"]
    assert [each.span.name for each in refused] == ["dui.identity.v1.ProfessionalService/CreateProfessional"]
    assert refused[0].span.status.code == Status.STATUS_CODE_UNSET
    violated = [each for each in spans if each.span.parent_span_id == refused[0].span.span_id and _has_failed(each)]
    assert [each.attributes["error.type"] for each in violated] == ["UniqueViolation"]


def test_spans_say_nothing_but_what_is_listed(observed: Observed) -> None:
    for each in observed.receiver.spans():
        assert each.attributes.keys() <= SPAN_ATTRIBUTES, each.span.name
        assert not each.span.events
        assert not each.span.links
        assert re.fullmatch(r"[A-Za-z0-9_:]*", each.span.status.message)
        assert _has_failed(each) == ("error.type" in each.attributes)


def _has_failed(received: Received) -> bool:
    return received.span.status.code == Status.STATUS_CODE_ERROR


def _only(
    spans: Iterable[Received], *, program: str | None = None, name: str | None = None, kind: int | None = None
) -> Received:
    [found] = [
        each
        for each in spans
        if program in {None, each.program} and name in {None, each.span.name} and kind in {None, each.span.kind}
    ]
    return found


# ---------------------------------------------------------------------------------------------------------------- metrics


def test_every_documented_metric_arrives_and_no_other(observed: Observed) -> None:
    page = (ROOT / "docs" / "operations" / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `dui.")]
    documented = {name for row in rows for name in re.findall(r"`(dui\.[a-z_.]+)`", row)}
    assert len(documented) == 13
    of_workers = documented - {"dui.call.duration"}
    expected = {
        f"dui-{name}": of_workers if name.endswith("-worker") else {"dui.call.duration"} for name in _platform()
    }

    def differing() -> dict[str, set[str]]:
        sent = observed.receiver.metrics()
        assert sent.keys() <= expected.keys()
        names = {program: {metric.name for metric in sent.get(program, ())} for program in expected}
        return {program: names[program] ^ wanted for program, wanted in expected.items() if names[program] != wanted}

    eventually("every metric of every program", differing)


def test_durations_of_calls_are_told_by_operation_and_code(observed: Observed) -> None:
    def codes(program: str, operation: str) -> set[str]:
        points = _points(observed.receiver.metrics()[program], "dui.call.duration")
        return {str(each["code"]) for each in points if each["operation"] == operation}

    enter = "POST /v1/beneficiaries/{beneficiary_id}/stays"
    eventually("the calls of the gateway", lambda: {"201"} - codes("dui-gateway", enter))
    eventually("the calls of records", lambda: {"OK"} - codes("dui-records", ENTER))
    hire = "dui.identity.v1.ProfessionalService/CreateProfessional"
    eventually("a refused call", lambda: {"OK", "ALREADY_EXISTS"} ^ codes("dui-identity", hire))
    for metrics in observed.receiver.metrics().values():
        for metric in metrics:
            assert all(point.keys() <= POINT_ATTRIBUTES for point in _points([metric], metric.name)), metric.name


def _platform() -> tuple[str, ...]:
    return (*(f"{name}{suffix}" for name in SERVICES for suffix in ("", "-worker")), "gateway")


def _points(metrics: Iterable[Metric], name: str) -> list[dict[str, str | int]]:
    """The attributes of every point of a metric."""
    return [
        values(point.attributes)
        for metric in metrics
        if metric.name == name
        for point in getattr(metric, str(metric.WhichOneof("data"))).data_points
    ]


# ------------------------------------------------------------------------------------------------------------------- logs


@pytest.mark.parametrize("program", _platform())
def test_every_line_of_a_log_is_a_json_object(observed: Observed, program: str) -> None:
    lines = _lines(observed, program)
    assert lines
    for line in lines:
        assert line["service"] == program, line
        assert line["level"] in {"debug", "info", "warning", "error", "critical"}
        assert isinstance(line["message"], str)
        assert datetime.fromisoformat(line["timestamp"]).tzinfo == UTC


def test_a_line_about_a_request_has_its_trace(observed: Observed) -> None:
    refused = [line for line in _lines(observed, "gateway") if line["message"] == "refused"]
    about = {line["trace_id"] for line in refused}
    assert all(re.fullmatch(r"[0-9a-f]{32}", trace_id) for trace_id in about)
    failed = {
        each.span.trace_id.hex()
        for each in observed.receiver.spans()
        if int(each.attributes.get("http.response.status_code", 0)) >= 400
    }
    assert len(failed) > 15
    assert failed <= about


def _lines(observed: Observed, program: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in observed.texts[f"{program}.log"].splitlines()]


# ------------------------------------------------------------------------------------------------------------------ privacy


def logs(state: State) -> dict[str, str]:
    """The text of every log of the stack, older parts first."""
    found: dict[str, str] = {}
    for path in sorted((Path(state["home"]) / "log").iterdir(), reverse=True):
        name = re.sub(r"\.\d+$", "", path.name)
        found[name] = found.get(name, "") + path.read_text(encoding="utf-8", errors="replace")
    return found


@contextmanager
def listening(state: State) -> Iterator[Sequence[Msg]]:
    """Every message that is published meanwhile: a stream keeps what its readers have not taken yet, and no more."""
    heard: list[Msg] = []
    begun, ended = threading.Event(), threading.Event()

    async def hear(msg: Msg) -> None:
        heard.append(msg)

    async def listen() -> None:
        client = await nats.connect(state["nats"]["admin_url"])
        await client.subscribe("dui.>", cb=hear)
        await client.flush()
        begun.set()
        await asyncio.to_thread(ended.wait)
        await client.close()

    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    try:
        assert begun.wait(20), "NATS does not answer"
        yield heard
    finally:
        ended.set()
        thread.join()


def said(messages: Sequence[Msg]) -> dict[str, str]:
    """The text of every message, by the stream that it goes to: its headers, its bytes, and what they say."""
    found: dict[str, list[str]] = {}
    for message in list(messages):
        headers = message.headers or {}
        parts = found.setdefault(_stream_of(message.subject), [])
        parts += [message.subject, str(headers), message.data.decode(errors="replace")]
        if (kind := TYPES.get(headers.get("ce-type", ""))) is not None:
            parts.append(text_format.MessageToString(kind.FromString(message.data), as_utf8=True))
    return {stream: "\n".join(parts) for stream, parts in found.items()}


def _stream_of(subject: str) -> str:
    match subject.split("."):
        case ["dui", "journal", *_]:
            return JOURNAL_STREAM
        case ["dui", "dead", *_]:
            return DEAD_LETTER_STREAM
        case [_, service, *_]:
            return event_stream(service)
    raise AssertionError(subject)


def plain(text: str) -> str:
    """Text without accents and capitals, in ASCII."""
    folded = text.casefold()
    return folded if folded.isascii() else unicodedata.normalize("NFKD", folded).encode("ascii", "ignore").decode()


def found_in(text: str, words: Iterable[str], marks: Iterable[str]) -> set[str]:
    """The words (as they are, not inside of others) and marks (in any writing, anywhere) that a text holds."""
    text = ZONES.sub("", text)
    folded = plain(text)
    return {word for word in words if word in text and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)} | {
        mark for mark in marks if plain(mark) in folded
    }


def test_nothing_personal_is_in_any_of_them(observed: Observed) -> None:
    traffic, texts = observed.traffic, observed.texts
    assert len(traffic.words) > 200
    assert len(traffic.marks) > 50
    assert texts.keys() >= {*HARMLESS, *STREAMS}
    leaks = {source: found_in(text, traffic.words, traffic.marks) for source, text in texts.items()}
    assert {source: sorted(found) for source, found in leaks.items() if found} == {}


@pytest.mark.parametrize("source", HARMLESS)
def test_the_search_would_find_it(observed: Observed, source: str) -> None:
    text = observed.texts[source]
    harmless = HARMLESS[source]
    assert found_in(text, {harmless}, ()) == {harmless}
    assert found_in(text, (), {harmless.upper()}) == {harmless.upper()}
    word, mark = max(observed.traffic.words), max(observed.traffic.marks)
    assert found_in(f"{text}\n…({word})…x{mark.upper()}x", {word}, {mark}) == {word, mark}
