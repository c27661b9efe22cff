"""What one caller may ask of one process: a rate and a share of the threads, for each person and each association.

The counts live in the process: with N processes a caller may reach N times as much. They keep one caller from taking the
gateway down, and are no accounting.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Callers remembered at once; the one that was silent the longest is forgotten, which gives it a full bucket.
REMEMBERED = 20_000


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


class Share:
    """Of `threads`, one association holds three quarters at most and one person half: whoever holds a thread by sending a body
    without an end, or by asking a slow service, leaves some to the others."""

    def __init__(self, threads: int) -> None:
        self._most = {"subject": max(1, threads // 2), "tenant": max(1, threads * 3 // 4)}
        self._under_way: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, subject: str, tenant: str) -> Iterator[bool]:
        """True inside when the call may go on."""
        keys = (("subject", subject), ("tenant", tenant))
        under_way = self._under_way
        with self._lock:
            allowed = all(under_way.get(key, 0) < self._most[key[0]] for key in keys)
            if allowed:
                for key in keys:
                    under_way[key] = under_way.get(key, 0) + 1
        try:
            yield allowed
        finally:
            if allowed:
                with self._lock:
                    for key in keys:
                        under_way[key] -= 1
                        if not under_way[key]:
                            del under_way[key]
