"""The worker of a service: relays of events and journal, consumers, jobs."""

from dui_kit.worker.parts import (
    Consumer,
    Event,
    Job,
    JournalKeeper,
    Reject,
    WorkerCall,
    WorkerContext,
    transaction,
)
from dui_kit.worker.process import Worker, run

__all__ = [
    "Consumer",
    "Event",
    "Job",
    "JournalKeeper",
    "Reject",
    "Worker",
    "WorkerCall",
    "WorkerContext",
    "run",
    "transaction",
]
