"""NATS: no account may do more than its service does, nor less; and what the relays rely on holds for every event."""

from __future__ import annotations

import contract_files
import pytest
from dui_kit.settings import ServiceSettings
from dui_kit.wire.contract import event_of
from dui_kit.worker.access_facts import consumers_of
from dui_kit.worker.permissions import permissions_of
from dui_kit.worker.streams import dead_letter_subject, journal_subject, stream_config
from dui_local.services import SERVICES, composition

TENANT = "01a00000-0000-7000-8000-000000000001"


def overlap(one: str, other: str) -> bool:
    """Whether a subject exists that both patterns take (`*` is one token, `>` one or more at the end)."""
    left, right = one.split("."), other.split(".")
    for place in range(max(len(left), len(right))):
        if place == len(left) or place == len(right):
            return False
        if ">" in {left[place], right[place]}:
            return True
        if left[place] != right[place] and "*" not in {left[place], right[place]}:
            return False
    return True


def within(subject: str, pattern: str) -> bool:
    """Whether a pattern takes everything that another one takes."""
    inner, outer = subject.split("."), pattern.split(".")
    for place, token in enumerate(outer):
        if token == ">":
            return place < len(inner)
        if place == len(inner) or inner[place] == ">" or token not in {"*", inner[place]}:
            return False
    return len(inner) == len(outer)


def test_patterns_are_compared_as_nats_does() -> None:
    assert overlap("dui.*.a", "dui.records.>")
    assert overlap("dui.>", "dui.records.a")
    assert not overlap("dui.records.>", "dui.records")
    assert not overlap("dui.records.a", "dui.records.a.b")
    assert not overlap("dui.records.>", "dui.identity.>")
    assert within("dui.records.*.a", "dui.records.>")
    assert within("dui.records.*.a", "dui.*.*.a")
    assert not within("dui.records.>", "dui.records.*")
    assert not within("dui.*.a", "dui.records.a")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_what_its_worker_does(name: str) -> None:
    service = composition(name)
    allowed = permissions_of(service)
    work = [f"dui.{name}.{TENANT}.person.v1.changed", journal_subject(name, TENANT)]
    consumers = consumers_of(service)
    assert consumers
    for consumer in consumers:
        assert consumer.name == name
        work += [
            dead_letter_subject(consumer, TENANT),
            f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.durable}",
            f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.durable}",
            f"$JS.ACK.{consumer.stream}.{consumer.durable}.1.2.3.1795554234302947500.4",
        ]
    assert [subject for subject in work if not any(within(subject, each) for each in allowed.publish)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_nothing_else(name: str) -> None:
    service = composition(name)
    allowed = permissions_of(service)
    consumers = {(consumer.stream, consumer.durable) for consumer in consumers_of(service)}
    for subject in allowed.publish:
        match subject.split("."):
            case ["dui", own, ">"] | ["dui", "journal" | "dead", own, ">"]:
                assert own == name
            case ["$JS", "API", "CONSUMER", "INFO", stream, durable]:
                assert (stream, durable) in consumers
            case ["$JS", "API", "CONSUMER", "MSG", "NEXT", stream, durable]:
                assert (stream, durable) in consumers
            case ["$JS", "ACK", stream, durable, ">"]:
                assert (stream, durable) in consumers
            case ["$JS", "API", "STREAM", "INFO", stream]:
                # How full it is: of the streams that it writes to.
                assert stream in {f"DUI_{name.upper()}", "DUI_JOURNAL", "DUI_DEAD_LETTERS"}
            case _:
                pytest.fail(f"{name} may publish to {subject}")
    assert list(allowed.subscribe) == [f"_INBOX_{name}.>"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_two_services_may_do_the_same(name: str) -> None:
    """A name could be such that what is its own is another one's too (`journal`)."""
    own = permissions_of(composition(name))
    for other in SERVICES.keys() - {name}:
        theirs = permissions_of(composition(other))
        shared = {one for one in own.publish for each in theirs.publish if overlap(one, each)}
        assert shared <= {"$JS.API.STREAM.INFO.DUI_JOURNAL", "$JS.API.STREAM.INFO.DUI_DEAD_LETTERS"}
        assert not any(overlap(one, each) for one in own.subscribe for each in (*theirs.subscribe, *theirs.publish))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_consumer_reads_is_on_its_stream_and_somebodys(name: str) -> None:
    for consumer in consumers_of(composition(name)):
        [of_stream] = stream_config(consumer.stream, ServiceSettings()).subjects or []
        assert all(within(subject, of_stream) for subject in consumer.subjects)
        written = [each for other in SERVICES for each in permissions_of(composition(other)).publish]
        assert all(any(overlap(subject, each) for each in written) for subject in consumer.subjects)


def test_all_events_of_an_aggregate_have_one_subject() -> None:
    """A relay sets a full subject aside: with a second one, later events of an aggregate could overtake earlier ones."""
    shapes = [event_of(event) for event in contract_files.events()]
    kinds: dict[str, set[str]] = {}
    for shape in shapes:
        kinds.setdefault(shape.aggregate, set()).add(shape.past_tense)
    assert len(shapes) > 10
    assert {aggregate for aggregate, past_tenses in kinds.items() if len(past_tenses) > 1} == set()
