"""The loop of a durable consumer: fetch, apply, acknowledge after the commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from dui_kit.wire.telemetry import log, trace_id_of
from dui_kit.worker import metrics, streams
from dui_kit.worker.applying import Applier, Result, Verdict
from dui_kit.worker.dead_letters import letter
from dui_kit.worker.delivery import Delivery, is_for_another, read
from dui_kit.worker.parts import Consumer, Reject
from dui_kit.worker.publishing import Outcome, Publisher

#: A fetch waits no longer: the one that a broken connection has lost is soon replaced.
FETCH_SECONDS = 1.0
#: Failed deliveries after which an event is given up.
MAX_FAILURES = 5
#: Pauses before the next delivery of an event that failed: 1, 2, 4, 8 s.
FIRST_PAUSE = 1.0
#: Pause while the database is away.
AWAY_PAUSE, MAX_AWAY_PAUSE = 0.25, 5.0
#: An event that has not come back so long after its pause is gone from the stream: those behind it wait no longer.
GONE_SECONDS = 30.0


@dataclass(slots=True)
class _Trouble:
    """The event that an aggregate waits for: how often it failed, when it comes back, and the later ones behind it."""

    sequence: int
    failures: int
    until: float
    behind: set[int] = field(default_factory=set)

    def wait(self, sequence: int) -> float:
        """Lets a later event wait; seconds until it should come again."""
        self.behind.add(sequence)
        return max(0.1, self.until - time.monotonic() + 0.1)


class ConsumerLoop:
    """Runs one consumer.

    Order: a batch is applied before the next one is fetched; tenants of a batch side by side, events of one tenant one
    after another. Behind an event that failed, the later ones of its aggregate wait until it is applied or given up,
    and then go on one after another, in their order, in whichever order the server sends them again.
    """

    def __init__(
        self, consumer: Consumer, applier: Applier, js: JetStreamContext, publisher: Publisher, threads: Executor
    ) -> None:
        self._consumer = consumer
        self._applier = applier
        self._js = js
        self._publisher = publisher
        self._threads = threads
        self._troubles: dict[tuple[str, str, str], _Trouble] = {}

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Consumes until `stopping`; the batch under way is finished."""
        subscription = await streams.bind(self._js, self._consumer, stopping)
        while subscription is not None and not stopping():
            try:
                fetched = await subscription.fetch(self._consumer.batch, timeout=FETCH_SECONDS)
            except (TimeoutError, nats.errors.TimeoutError):
                continue
            except (nats.errors.Error, NotFoundError) as error:
                # The stream or its consumer is gone (NATS lost its disk, or an operator reset it): bind again.
                log.warning("a fetch failed", consumer=self._consumer.durable, error=type(error).__name__)
                await asyncio.sleep(FETCH_SECONDS)
                subscription = await streams.bind(self._js, self._consumer, stopping)
                continue
            await self.process(fetched)

    async def process(self, fetched: Sequence[Msg]) -> None:
        """Applies a batch and settles every message of it."""
        deliveries: list[Delivery] = []
        taken: set[int] = set()
        for msg in sorted(fetched, key=lambda msg: msg.metadata.sequence.stream):
            if is_for_another(msg, self._consumer.durable):
                await msg.ack()
                continue
            try:
                delivery = read(msg)
            except Reject as rejection:
                await self._give_up(msg, None, rejection.reason, 1)
                continue
            if trouble := self._blocking(delivery, taken):
                await msg.nak(delay=trouble.wait(delivery.sequence))
            else:
                deliveries.append(delivery)
                taken.add(delivery.sequence)
        pause = AWAY_PAUSE
        while deliveries:
            results = await self._apply(deliveries)
            deliveries = []
            for result in results:
                if result.verdict is Verdict.AWAY:
                    deliveries.append(result.delivery)
                else:
                    await self._settle(result)
            self._count(results)
            if deliveries:
                log.warning("a consumer waits", consumer=self._consumer.durable, reason=results[-1].reason)
                metrics.failed(self._consumer.durable, "AWAY")
                await asyncio.sleep(pause)
                pause = min(pause * 2, MAX_AWAY_PAUSE)
                for delivery in deliveries:
                    await delivery.msg.in_progress()

    async def _apply(self, deliveries: Sequence[Delivery]) -> list[Result]:
        by_tenant: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            by_tenant.setdefault(delivery.tenant_id, []).append(delivery)
        loop = asyncio.get_running_loop()
        done = await asyncio.gather(
            *(loop.run_in_executor(self._threads, self._applier.apply, group) for group in by_tenant.values())
        )
        return [result for results in done for result in results]

    async def _settle(self, result: Result) -> None:
        delivery, msg = result.delivery, result.delivery.msg
        match result.verdict:
            case Verdict.APPLIED:
                self._forget(delivery)
                await msg.ack()
            case Verdict.REJECTED:
                self._forget(delivery)
                await self._give_up(msg, delivery.tenant_id, result.reason, 1)
            case Verdict.FAILED:
                await self._failed(delivery, result.reason)
            case Verdict.BEHIND:
                trouble = self._troubles.get(delivery.aggregate)
                await msg.nak(delay=trouble.wait(delivery.sequence) if trouble else 0.1)
            case Verdict.AWAY:
                raise AssertionError(result.verdict)

    async def _failed(self, delivery: Delivery, reason: str) -> None:
        known = self._troubles.get(delivery.aggregate)
        failures = known.failures + 1 if known and known.sequence == delivery.sequence else 1
        metrics.failed(self._consumer.durable, reason)
        log.warning(
            "an event failed",
            consumer=self._consumer.durable,
            event_id=delivery.event_id,
            reason=reason,
            failures=failures,
            trace_id=trace_id_of(delivery.traceparent),
        )
        if failures >= MAX_FAILURES:
            self._forget(delivery)
            await self._give_up(delivery.msg, delivery.tenant_id, reason, failures)
            return
        pause = FIRST_PAUSE * 2 ** (failures - 1)
        behind = {known.sequence, *known.behind} - {delivery.sequence} if known else set()
        self._troubles[delivery.aggregate] = _Trouble(delivery.sequence, failures, time.monotonic() + pause, behind)
        await delivery.msg.nak(delay=pause)

    async def _give_up(self, msg: Msg, tenant_id: str | None, reason: str, deliveries: int) -> None:
        """Lays the message down as a dead letter. It is ended at JetStream only when the letter has arrived, so it always exists
        in at least one of the two places. A message that its sender keeps and sends again needs no letter."""
        if self._consumer.sent_again:
            metrics.failed(self._consumer.durable, reason)
            log.error("a message is passed over", consumer=self._consumer.durable, reason=reason)
            await msg.term()
            return
        [outcome] = await self._publisher.publish([letter(self._consumer, msg, tenant_id, reason, deliveries)])
        if outcome is not Outcome.ACKNOWLEDGED:
            await msg.nak(delay=MAX_AWAY_PAUSE)
            return
        metrics.dead(self._consumer.durable, reason)
        log.error(
            "a dead letter",
            consumer=self._consumer.durable,
            reason=reason,
            sequence=msg.metadata.sequence.stream,
            trace_id=trace_id_of((msg.headers or {}).get("traceparent")),
        )
        await msg.term()

    def _forget(self, delivery: Delivery) -> None:
        trouble = self._troubles.get(delivery.aggregate)
        if trouble and trouble.sequence == delivery.sequence:
            self._go_on(delivery.aggregate, trouble)
        elif trouble:
            trouble.behind.discard(delivery.sequence)

    def _blocking(self, delivery: Delivery, taken: set[int]) -> _Trouble | None:
        """What a delivery waits for: an earlier event of its aggregate that is not among those `taken` with it."""
        trouble = self._troubles.get(delivery.aggregate)
        while (
            trouble
            and trouble.sequence < delivery.sequence
            and trouble.sequence not in taken
            and time.monotonic() > trouble.until + GONE_SECONDS
        ):
            trouble = self._go_on(delivery.aggregate, trouble)
        if trouble is None:
            return None
        earlier = {each for each in (trouble.sequence, *trouble.behind) if each < delivery.sequence}
        return None if earlier <= taken else trouble

    def _go_on(self, aggregate: tuple[str, str, str], ended: _Trouble) -> _Trouble | None:
        """The first of those that waited is the next one that the aggregate waits for."""
        if not ended.behind:
            del self._troubles[aggregate]
            return None
        first = min(ended.behind)
        until = time.monotonic()
        self._troubles[aggregate] = following = _Trouble(first, 0, until, ended.behind - {first})
        return following

    def _count(self, results: Sequence[Result]) -> None:
        sent = [result.delivery.sent_at for result in results if result.verdict is Verdict.APPLIED]
        if sent:
            known = [instant for instant in sent if instant is not None]
            lag = (datetime.now(UTC) - min(known)).total_seconds() if known else None
            metrics.applied(self._consumer.durable, len(sent), lag)
