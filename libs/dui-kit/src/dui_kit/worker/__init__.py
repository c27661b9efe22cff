"""The worker of a service: relays of events and journal, consumers, jobs."""

from dui_kit.worker.contract import Consumer, ConsumerCall, Event, Hold, Job, Reject, WorkerContext
from dui_kit.worker.process import Worker, run

__all__ = ["Consumer", "ConsumerCall", "Event", "Hold", "Job", "Reject", "Worker", "WorkerContext", "run"]
