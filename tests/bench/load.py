"""The load: clients that keep one connection each and send the next request when the last is answered.

They run in processes of their own, whose CPU is not counted; the operations of a row are divided among them beforehand.
"""

from __future__ import annotations

import http.client
import multiprocessing
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

#: Clients that one process of the generator runs, as threads.
CLIENTS_PER_PROCESS = 16


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `status` is the one it must have."""

    method: str
    path: str
    body: bytes | None
    headers: dict[str, str]
    status: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a row of requests took."""

    seconds: float
    #: Milliseconds of each request, sorted.
    latencies: list[float]
    errors: int
    first_error: str

    def percentile(self, share: float) -> float:
        """Milliseconds below which a share of the requests lies (nearest rank)."""
        return self.latencies[max(0, round(share * len(self.latencies)) - 1)]


def _client(url: str, requests: list[Request], latencies: list[float], errors: list[str]) -> None:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "127.0.0.1", where.port, timeout=30)
    connection.connect()
    for request in requests:
        started = time.perf_counter()
        try:
            connection.request(request.method, request.path, request.body, request.headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError as error:
            errors.append(type(error).__name__)
            connection.close()
            continue
        latencies.append((time.perf_counter() - started) * 1000)
        if answer.status != request.status:
            errors.append(f"{answer.status} {content[:200]!r}")
    connection.close()


def _process(
    url: str, shares: list[list[Request]], results: multiprocessing.Queue[tuple[list[float], list[str]]]
) -> None:
    latencies: list[float] = []
    errors: list[str] = []
    threads = [threading.Thread(target=_client, args=(url, share, latencies, errors)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((latencies, errors))


def run(url: str, requests: list[Request], clients: int) -> Outcome:
    """Sends every request once, by so many clients at a time."""
    shares = [requests[n::clients] for n in range(clients)]
    groups = [shares[n : n + CLIENTS_PER_PROCESS] for n in range(0, clients, CLIENTS_PER_PROCESS)]
    fork = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[tuple[list[float], list[str]]] = fork.Queue()
    processes = [fork.Process(target=_process, args=(url, group, results)) for group in groups]
    started = time.perf_counter()
    for process in processes:
        process.start()
    latencies: list[float] = []
    errors: list[str] = []
    for _ in processes:
        some, wrong = results.get()
        latencies += some
        errors += wrong
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    return Outcome(seconds, sorted(latencies), len(errors), errors[0] if errors else "")
