"""What the worker tells of itself: depth and age of what waits, failures, and whether it moves."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

_METER = metrics.get_meter("dui_kit.worker")

_consumed = _METER.create_counter("dui.consumer.events", description="Events applied, by consumer")
_failed = _METER.create_counter("dui.consumer.failures", description="Deliveries that failed, by consumer and reason")
_dead = _METER.create_counter("dui.consumer.dead_letters", description="Events given up, by consumer and reason")
_jobs = _METER.create_counter("dui.job.runs", description="Runs of jobs, by job and outcome")
_consumer_lag = _METER.create_histogram(
    "dui.consumer.lag", unit="s", description="From the event to its effect, by consumer"
)


#: Consumer → events not delivered yet, and delivered but not settled, as JetStream said last.
_waiting: dict[str, tuple[int, int]] = {}
#: Stream → how much of it is full, 0 to 1, as JetStream said last.
_filled: dict[str, float] = {}


@dataclass(slots=True)
class RelayState:
    """What the relay saw last; read by the metrics and by the health check from other threads."""

    leading: bool = False
    event_depth: int = 0
    event_oldest: datetime | None = None
    journal_depth: int = 0
    journal_oldest: datetime | None = None
    #: Since when entries are known that the chain does not have yet.
    journal_unconfirmed_since: datetime | None = None
    parked: int = 0
    published: int = 0
    #: Streams and consumers that NATS does not have: `streams` has not been run.
    missing: frozenset[str] = frozenset()
    #: Monotonic clock of the last finished look at the outbox.
    last_beat: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """The relay has looked at the outbox."""
        self.last_beat = time.monotonic()

    def stalled(self, seconds: float) -> bool:
        """True when a leader has not looked for so long."""
        return self.leading and time.monotonic() - self.last_beat > seconds


def observe(state: RelayState, consumers: Iterable[str]) -> None:
    """Exposes a relay's state as gauges, and the counters of its consumers at zero; once per process.

    A counter that begins with its first failure would hide that failure from whoever watches its rate.
    """
    for consumer in consumers:
        for counter in (_consumed, _failed, _dead):
            counter.add(0, {"consumer": consumer})

    def age(oldest: datetime | None) -> float:
        return max(0.0, (datetime.now(UTC) - oldest).total_seconds()) if oldest else 0.0

    def lag(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(age(state.event_oldest), {"kind": "event"})
        yield Observation(age(state.journal_oldest), {"kind": "journal"})

    def depth(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(state.event_depth, {"kind": "event"})
        yield Observation(state.journal_depth, {"kind": "journal"})

    def unconfirmed(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(age(state.journal_unconfirmed_since))

    def parked(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(state.parked)

    def leading(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(int(state.leading))

    def waiting(_: CallbackOptions) -> Iterable[Observation]:
        for consumer, (pending, unsettled) in list(_waiting.items()):
            yield Observation(pending, {"consumer": consumer, "kind": "pending"})
            yield Observation(unsettled, {"consumer": consumer, "kind": "unsettled"})

    def filled(_: CallbackOptions) -> Iterable[Observation]:
        for stream, ratio in list(_filled.items()):
            yield Observation(ratio, {"stream": stream})

    _METER.create_observable_gauge("dui.stream.fill", [filled], unit="1", description="How full a stream is, 0 to 1")
    _METER.create_observable_gauge(
        "dui.consumer.waiting", [waiting], description="Events that wait, by consumer and kind"
    )
    _METER.create_observable_gauge("dui.outbox.lag", [lag], unit="s", description="Age of the oldest unpublished row")
    _METER.create_observable_gauge("dui.outbox.depth", [depth], description="Rows to publish")
    _METER.create_observable_gauge(
        "dui.journal.unconfirmed",
        [unconfirmed],
        unit="s",
        description="For how long entries handed over are not chained",
    )
    _METER.create_observable_gauge("dui.outbox.parked", [parked], description="Aggregates and subjects that wait")
    _METER.create_observable_gauge("dui.worker.leading", [leading], description="1 on the worker that leads")


def applied(consumer: str, count: int, lag_seconds: float | None) -> None:
    """Counts events applied; `lag_seconds` is that of the oldest of them."""
    _consumed.add(count, {"consumer": consumer})
    if lag_seconds is not None:
        _consumer_lag.record(max(0.0, lag_seconds), {"consumer": consumer})


def waits(consumer: str, pending: int, unsettled: int) -> None:
    """Keeps what waits for a consumer."""
    _waiting[consumer] = (pending, unsettled)


def fills(stream: str, ratio: float) -> None:
    """Keeps how full a stream is."""
    _filled[stream] = ratio


def leads_no_more() -> None:
    """This worker does not lead any more: another one tells what waits, and how full streams are."""
    _waiting.clear()
    _filled.clear()


def failed(consumer: str, reason: str) -> None:
    """Counts a delivery that failed."""
    _failed.add(1, {"consumer": consumer, "reason": reason})


def dead(consumer: str, reason: str) -> None:
    """Counts a dead letter."""
    _dead.add(1, {"consumer": consumer, "reason": reason})


def job(name: str, outcome: str) -> None:
    """Counts a run of a job: `done` or `failed`."""
    _jobs.add(1, {"job": name, "outcome": outcome})
