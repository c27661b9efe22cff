"""What one caller may take of one process: so many calls a second, a share of the threads, a turn at each service.

The counts live in the process: with N processes a caller may reach N times as much. They keep one caller from taking the
gateway down, and are no accounting.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

# Callers remembered at once; the one that was silent the longest is forgotten, which gives it a full bucket.
REMEMBERED = 20_000
# Seconds that a call waits for its turn at a service.
PATIENCE_SECONDS = 1.0

# What one call counts for: its person, its association, and all calls together.
_Keys = tuple[tuple[str, str], ...]


class Bucket:
    """Token buckets by key: `burst` at once, `rate` a second in the long run."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> int:
        """0 when the call may go on, else the seconds to wait."""
        now = self._clock()
        with self._lock:
            level, at = self._levels.get(key, (self._burst, now))
            level = min(self._burst, level + (now - at) * self._rate)
            allowed = level >= 1.0
            self._levels[key] = (level - 1.0 if allowed else level, now)
            self._levels.move_to_end(key)
            if len(self._levels) > REMEMBERED:
                self._levels.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1.0 - level) / self._rate))


def _keys(subject: str, tenant: str) -> _Keys:
    return (("subject", subject), ("tenant", tenant), ("all", ""))


class _UnderWay:
    """How many calls are under way, for each person and association and for all of them."""

    def __init__(self) -> None:
        self.count: Counter[tuple[str, str]] = Counter()

    def add(self, keys: _Keys) -> None:
        for key in keys:
            self.count[key] += 1

    def remove(self, keys: _Keys) -> None:
        for key in keys:
            self.count[key] -= 1
            if not self.count[key]:
                del self.count[key]


class Share:
    """The threads that callers may hold, by sending a body slowly or by asking a slow service.

    A person may hold as many as are free, an association three times as many. So one person alone gets half of them and one
    association three quarters; and however many callers take all they can get, there is a thread for the next one."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._held = _UnderWay()
        self._lock = threading.Lock()

    def take(self, subject: str, tenant: str) -> bool:
        """Whether the call may go on; then `give` is called when it is over."""
        keys = _keys(subject, tenant)
        person, association, everybody = keys
        count = self._held.count
        with self._lock:
            free = self._threads - count[everybody]
            allowed = count[person] < free and count[association] < 3 * free
            if allowed:
                self._held.add(keys)
        return allowed

    def give(self, subject: str, tenant: str) -> None:
        """Gives back what was taken."""
        with self._lock:
            self._held.remove(_keys(subject, tenant))


class Turns:
    """The calls under way at one service: `calls` at once, of which one person has half at most and one association three
    quarters. More wait for their turn, in the order in which they came, and give up after `patience` seconds."""

    def __init__(self, calls: int, patience: float = PATIENCE_SECONDS) -> None:
        self._most: Mapping[str, int] = {
            "subject": max(1, calls // 2),
            "tenant": max(1, calls * 3 // 4),
            "all": calls,
        }
        self._patience = patience
        self._under_way = _UnderWay()
        self._waiting: dict[threading.Event, _Keys] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, subject: str, tenant: str) -> Iterator[bool]:
        """True inside when the turn of the call has come, False when it did not come in time."""
        keys = _keys(subject, tenant)
        with self._lock:
            # Whoever waits has no place now, so this call passes nobody that could go.
            allowed = self._fits(keys)
            if allowed:
                self._under_way.add(keys)
            else:
                called = threading.Event()
                self._waiting[called] = keys
        if not allowed:
            allowed = called.wait(self._patience) or not self._leave(called)
        try:
            yield allowed
        finally:
            if allowed:
                with self._lock:
                    self._under_way.remove(keys)
                    self._call_next()

    def _fits(self, keys: _Keys) -> bool:
        return all(self._under_way.count[key] < self._most[key[0]] for key in keys)

    def _leave(self, called: threading.Event) -> bool:
        """Stops waiting; False when the turn came at the last moment."""
        with self._lock:
            return self._waiting.pop(called, None) is not None

    def _call_next(self) -> None:
        for called, keys in list(self._waiting.items()):
            if not self._fits(keys[-1:]):
                return
            if self._fits(keys):
                self._under_way.add(keys)
                del self._waiting[called]
                called.set()
