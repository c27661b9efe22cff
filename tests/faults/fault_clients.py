"""Clients that write through whatever happens: each write under one key, sent again until it is answered for good."""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from dui_local.api import Api
from dui_ops.login import LoginError
from dui_ops.state import State

SLUG = "les-tilleuls"
#: A client gives a write up after this time; it then knows nothing about it.
PATIENCE_SECONDS = 60.0
REQUEST_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 1.0
#: Who makes which kind of write, and how many of ten.
MIX = ("note",) * 5 + ("beneficiary",) * 3 + ("assignment",) * 2
AUTHORS = {"note": "nurse", "beneficiary": "secretary", "assignment": "administrator"}
IDS = {"note": "handover_note_id", "beneficiary": "beneficiary_id", "assignment": "assignment_id"}
#: A refusal that says: the same call is under way, ask again.
UNDER_WAY = "CONFLICT"


@dataclass(slots=True)
class Write:
    """One write and what its client knows of it. `mark` finds it in the database, under whatever id."""

    number: int
    kind: str
    path: str
    body: dict[str, Any]
    key: str
    mark: str
    #: Trace ids of the requests that were sent.
    traces: list[str]
    status: int | None = None
    reason: str = ""
    id: str = ""

    @property
    def acknowledged(self) -> bool:
        """Whether the platform has answered that it is done."""
        return self.status is not None and self.status < 300

    @property
    def refused(self) -> bool:
        """Whether the platform has answered that it shall not be."""
        return self.status is not None and self.status >= 300


class Pace:
    """Numbers of writes, given out so that kills fall between them: no more than a stretch ahead of the kills."""

    def __init__(self, writes: int, kills: int) -> None:
        self.stretch = writes / (kills + 1)
        self._writes = writes
        self._taken = 0
        self._kills = 0
        self._over = False
        self._changed = threading.Condition()

    def take(self) -> int | None:
        """The next number; None when there is no more."""
        with self._changed:
            while not self._over and self._taken < self._writes and self._taken >= (self._kills + 1.5) * self.stretch:
                self._changed.wait(1)
            if self._over or self._taken >= self._writes:
                return None
            self._taken += 1
            self._changed.notify_all()
            return self._taken - 1

    def wait_for(self, taken: float) -> bool:
        """Waits until so many numbers are taken; False when it is over before."""
        with self._changed:
            while not self._over and self._taken < taken:
                self._changed.wait(1)
            return not self._over

    def killed(self) -> None:
        """A kill is done."""
        with self._changed:
            self._kills += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Nobody goes on."""
        with self._changed:
            self._over = True
            self._changed.notify_all()


class Plan:
    """Makes the writes of one run; nothing of an earlier run on the same stack resembles them."""

    def __init__(self, state: State, chance: random.Random) -> None:
        self._chance = chance
        places = state["seed"][SLUG]
        self._facilities = places["facilities"]
        self._persons = places["persons"]["fam"]
        self.run = secrets.token_hex(4)
        self._letters = "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(8))
        self._first_day = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(days=secrets.randbelow(1_000_000))
        #: For all clients; it only gives tokens once this is made.
        self.administrator = _api(state, "administrator")
        try:
            self._account = next(
                one["account_id"]
                for one in self.administrator.get("/v1/accounts?page_size=100")["accounts"]
                if one["login"] == f"care-assistant.{SLUG}"
            )
        finally:
            self.administrator.close()

    def write(self, number: int) -> Write:
        """The write of a number: of a kind by chance, with a mark of its own."""
        kind = self._chance.choice(MIX)
        path, body, mark = getattr(self, f"_{kind}")(number)
        return Write(number, kind, path, body, f"{self.run}-{number}", mark, [])

    def _note(self, number: int) -> tuple[str, dict[str, Any], str]:
        mark = f"Essai de panne {self.run} {number}"
        body = {"category": "CATEGORY_NURSING", "subject": mark, "data": "Nuit calme."}
        return f"/v1/beneficiaries/{self._chance.choice(self._persons)}/handover_notes", body, mark

    def _beneficiary(self, number: int) -> tuple[str, dict[str, Any], str]:
        mark = self._letters + "".join("ABCDEFGHIJ"[int(digit)] for digit in f"{number:05d}")
        day = datetime(1940, 1, 1, tzinfo=UTC) + timedelta(days=self._chance.randrange(25_000))
        body = {
            "birth_name": mark,
            "birth_given_names": ["Camille"],
            "birth_date": day.date().isoformat(),
            "sex": "SEX_FEMALE",
            "fictitious": True,
        }
        return f"/v1/facilities/{self._facilities['fam']}/beneficiaries", body, mark

    def _assignment(self, number: int) -> tuple[str, dict[str, Any], str]:
        begin = self._first_day + timedelta(days=number)
        body = {
            "profession": "PROFESSION_EDUCATOR",
            "facility_id": self._facilities["esat"],
            "valid_from": begin.isoformat(),
            "valid_to": (begin + timedelta(days=1)).isoformat(),
        }
        return f"/v1/accounts/{self._account}/assignments", body, begin.isoformat()


class Log:
    """Every reply, one line of JSON each, in a file that is no part of the stack."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._lock = threading.Lock()

    def reply(self, write: Write, trace: str, status: int | None, detail: str) -> None:
        """Keeps one reply, or that there was none."""
        line = {
            "at": datetime.now(UTC).isoformat(),
            "number": write.number,
            "kind": write.kind,
            "key": write.key,
            "trace": trace,
            "status": status,
            "detail": detail,
        }
        with self._lock:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        self._file.close()


class _OneLogin(Api):
    """Somebody as whom several clients write: a one-time code logs in once, so they share what it gave."""

    _lock = threading.Lock()

    def token(self) -> str:
        with self._lock:
            return super().token()


def _api(state: State, role: str) -> Api:
    account = next(one for one in state["accounts"] if one["username"] == f"{role}.{SLUG}")
    return _OneLogin(state, account, "2") if role == "administrator" else Api(state, account)


def work(state: State, pace: Pace, plan: Plan, log: Log, lock: threading.Lock) -> list[Write]:
    """One client: writes until there are no more numbers."""
    people = {role: _api(state, role) for role in AUTHORS.values() if role != "administrator"}
    everybody = people | {"administrator": plan.administrator}
    done: list[Write] = []
    try:
        with httpx.Client(base_url=state["urls"]["gateway"], timeout=REQUEST_SECONDS) as http:
            while (number := pace.take()) is not None:
                with lock:
                    write = plan.write(number)
                _until_answered(http, everybody[AUTHORS[write.kind]], write, log)
                done.append(write)
    finally:
        for api in people.values():
            api.close()
    return done


def _until_answered(http: httpx.Client, author: Api, write: Write, log: Log) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = 0.05
    while not _is_answered(http, author, write, log) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _is_answered(http: httpx.Client, author: Api, write: Write, log: Log) -> bool:
    """One request; whether the client need not ask again."""
    try:
        token = author.token()
    except (LoginError, httpx.HTTPError):  # Keycloak has lost its database: it comes back
        return False
    trace = secrets.token_hex(16)
    headers = {
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": write.key,
        "Traceparent": f"00-{trace}-{secrets.token_hex(8)}-00",
    }
    write.traces.append(trace)
    try:
        answer = http.post(write.path, json=write.body, headers=headers)
        body = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        log.reply(write, trace, None, type(error).__name__)
        return False
    reason = str(body.get("reason", ""))
    found = body.get("beneficiary", body).get(IDS[write.kind], "")
    log.reply(write, trace, answer.status_code, found or reason)
    if answer.status_code >= 500 or answer.status_code == 429 or reason == UNDER_WAY:
        return False
    write.status, write.reason, write.id = answer.status_code, reason, found
    return True
