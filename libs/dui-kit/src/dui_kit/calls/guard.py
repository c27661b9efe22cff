"""The guard around every method: one call = one verified caller, one transaction, one journal entry.

token → request checked by its contract → transaction with the tenant set → account, perimeter, policy, authentication level →
kept reply of an idempotency key → method → outbox, journal → deadline still open? → commit. A method opens no transaction,
checks no token, writes no journal and catches no exception.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import psycopg
from dui.journal.v1 import journal_pb2
from google.protobuf.message import Message
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dui_kit.calls import access, idempotency
from dui_kit.calls.access import Decision
from dui_kit.calls.call import Call, Caller
from dui_kit.calls.idempotency import Keyed
from dui_kit.calls.outbox import Outbox, journal_step
from dui_kit.calls.toolbox import Toolbox
from dui_kit.db.database import commit, connected, opening, raw
from dui_kit.db.statements import rows, run
from dui_kit.errors import Code, Reason, Refusal, not_found
from dui_kit.ids import new_id
from dui_kit.times import to_timestamp
from dui_kit.wire import texts
from dui_kit.wire.contract import ALL_CATEGORIES, Action, Perimeter, Rule, value_at
from dui_kit.wire.keys import check_idempotency_key
from dui_kit.wire.telemetry import log, trace_id_of
from dui_kit.wire.tokens import Claims, TokenRefused

#: Facts older than this are stale: care goes on, flagged; exports and changes of rights wait.
STALE_AFTER = timedelta(minutes=15)
#: Seconds that a call without a deadline gets.
DEFAULT_SECONDS = 10.0

#: The tenant of a system call that names none: row-level security shows it nothing.
NO_TENANT = "00000000-0000-0000-0000-000000000000"

#: Denials that facts not yet received could lift.
_REFRESHABLE = frozenset(
    {"ACCOUNT_INACTIVE", "NOT_ASSIGNED", "RIGHT_MISSING", "OUT_OF_PERIMETER", "NOT_FOUND", "PLACE_UNKNOWN"}
)
#: After a failure of these kinds, a concurrent call with the same idempotency key may have done what this one could not.
_ELSEWHERE = frozenset({Code.ABORTED, Code.ALREADY_EXISTS, Code.FAILED_PRECONDITION, Code.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC: its rule, and the function that answers it."""

    rule: Rule
    answer: Callable[[Any, Call], Message]
    reply: type[Message]


@dataclass(frozen=True, slots=True)
class Meta:
    """What came with a request."""

    authorization: str = ""
    language: str = "fr"
    if_match: str = ""
    idempotency_key: str = ""
    traceparent: str | None = None


class Guard:
    """Runs methods for verified callers."""

    def __init__(self, toolbox: Toolbox) -> None:
        """One guard for a process."""
        self._tools = toolbox

    def run(self, method: Method, request: Message, meta: Meta, remaining: Callable[[], float]) -> Message:
        """The reply of one call; Refusal when it cannot be. `remaining`: seconds until the caller stops waiting."""
        claims = self._authenticate(meta)
        self._tools.validator.check(request)
        if meta.idempotency_key:
            check_idempotency_key(meta.idempotency_key)
        if remaining() <= 0:
            raise Refusal(texts.DEADLINE_PASSED)
        call = _GuardedCall(self._tools, method, request, meta, claims, remaining)
        try:
            return call.reply()
        except Refusal as refusal:
            if refusal.true_reason.is_denial:
                call.journal_denial(refusal.true_reason)
            raise

    def _authenticate(self, meta: Meta) -> Claims:
        scheme, _, token = meta.authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal(texts.TOKEN_MISSING)
        try:
            return self._tools.verifier.verify(token.strip())
        except TokenRefused as refused:
            raise Refusal(refused.reason) from None


@dataclass(slots=True)
class _Entry:
    """The journal entry of a call, as far as it is known."""

    claims: Claims
    rule: Rule
    category: int
    beneficiary_id: str
    facility_id: str
    trace_id: str
    resource_id: str
    account_id: str | None = None
    break_glass: bool = False
    stale: bool = False

    def message(self, outcome: int, reason: str = "", seen: list[str] | None = None) -> journal_pb2.JournalEntry:
        return journal_pb2.JournalEntry(
            entry_id=new_id(),
            occurred_at=to_timestamp(datetime.now(UTC)),
            account_id=self.account_id,
            calling_service=self.claims.service or None,
            subject=self.claims.subject,
            operation=self.rule.operation,
            category=self.category,  # type: ignore[arg-type]
            action=self.rule.action,  # type: ignore[arg-type]
            beneficiary_id=self.beneficiary_id or None,
            facility_id=self.facility_id or None,
            outcome=outcome,  # type: ignore[arg-type]
            reason=reason,
            break_glass=self.break_glass,
            stale_access=self.stale,
            trace_id=self.trace_id,
            seen_beneficiary_ids=seen or (),
            acr=self.claims.acr,
            resource_id=self.resource_id or None,
        )

    def repeated(self, first: journal_pb2.JournalEntry) -> journal_pb2.JournalEntry:
        """The entry of a call that got the answer of an earlier one: about what that one was about."""
        self.category, self.resource_id = first.category, first.resource_id
        self.beneficiary_id, self.facility_id = first.beneficiary_id, first.facility_id
        entry = self.message(journal_pb2.JOURNAL_OUTCOME_ALLOWED, seen=list(first.seen_beneficiary_ids))
        entry.repeated_call = True
        return entry


class _GuardedCall:
    """One call, from its request to its reply."""

    def __init__(
        self,
        tools: Toolbox,
        method: Method,
        request: Message,
        meta: Meta,
        claims: Claims,
        remaining: Callable[[], float],
    ) -> None:
        rule = method.rule
        self._tools = tools
        self._method = method
        self._rule = rule
        self._request = request
        self._meta = meta
        self._claims = claims
        self._remaining = remaining
        self._tenant_id = claims.tenant_id or str(getattr(request, "tenant_id", "")) or NO_TENANT
        self._entry = _Entry(
            claims=claims,
            rule=rule,
            category=int(value_at(request, rule.category_path) or 0) if rule.category_path else rule.category,
            beneficiary_id=str(value_at(request, rule.beneficiary_path)),
            facility_id=str(value_at(request, rule.facility_path)),
            trace_id=trace_id_of(meta.traceparent),
            resource_id=str(getattr(request, rule.resource_field, "")),
        )
        self._keyed = None
        if meta.idempotency_key and not rule.reads:
            self._keyed = Keyed(
                tenant_id=self._tenant_id,
                subject=claims.subject,
                operation=rule.operation,
                key=meta.idempotency_key,
                digest=sha256(request.SerializeToString(deterministic=True)).digest(),
            )

    def reply(self) -> Message:
        """The reply. A denial that a fact under way could lift is decided once more, after its owners were asked."""
        self._check_kind_of_caller()
        may_ask = self._tools.refresher is not None and not self._claims.service
        while True:
            try:
                with connected(self._tools.engine) as connection:
                    decision, kept = self._begin(connection)
                    denial = None if decision is None else self._denial(decision)
                    if denial is None:
                        return self._repeat(connection, kept) if kept else self._answer(connection, decision)
            except (DBAPIError, psycopg.Error) as error:
                failure = self._meaning(error)
                if failure.reason is texts.INTERNAL:
                    raise
                return self._done_elsewhere(failure)
            except Refusal as failure:
                if not may_ask or not self._may_be_late(failure):
                    return self._done_elsewhere(failure)
                denial = failure
            if not may_ask or denial.reason.name not in _REFRESHABLE:
                raise denial
            may_ask = False
            self._ask_owners()

    def journal_denial(self, reason: Reason) -> None:
        """A refusal leaves its entry in a transaction of its own; a journal that is down never turns it into a yes."""
        if self._tenant_id == NO_TENANT:
            return
        try:
            denial = self._entry.message(journal_pb2.JOURNAL_OUTCOME_DENIED, reason.name)
            with connected(self._tools.engine) as connection:
                begun = opening(self._tenant_id, durable=True, statement_ms=2000)
                commit(raw(connection), *begun, journal_step(self._tenant_id, denial))
        except (DBAPIError, psycopg.Error) as error:
            log.error("a refusal could not be journalled", kind=type(error).__name__, reason=reason.name)

    def _check_kind_of_caller(self) -> None:
        """A service makes system calls, and only those that are for it; a person makes the others."""
        service, rule = self._claims.service, self._rule
        if bool(service) != (rule.perimeter == Perimeter.PERIMETER_SYSTEM):
            raise Refusal(texts.SERVICE_ONLY)
        if rule.callers and service not in rule.callers:
            raise Refusal(texts.SERVICE_ONLY)

    def _begin(self, connection: Connection) -> tuple[Decision | None, list[Any]]:
        """Begins the transaction of the call, in one round trip with what decides it and what its key already answered."""
        milliseconds = int(min(self._remaining(), DEFAULT_SECONDS) * 1000)
        steps = list(opening(self._tenant_id, durable=not self._rule.reads, statement_ms=milliseconds))
        asked = not self._claims.service
        if asked:
            steps.append(
                access.question(
                    self._rule,
                    tenant_id=self._tenant_id,
                    subject=self._claims.subject,
                    beneficiary_id=self._entry.beneficiary_id,
                    facility_id=self._entry.facility_id,
                )
            )
        if self._keyed:
            steps.append(self._keyed.lookup())
        try:
            results = run(raw(connection), *steps)
        except psycopg.OperationalError:
            # The pool held a connection to a server that is gone: nothing was done yet, so a new one is tried once. The others of
            # the pool were to the same server.
            if raw(connection).closed:
                self._tools.engine.dispose()
            connection.invalidate()
            results = run(raw(connection), *steps)
        driver = raw(connection)
        kept = rows(driver, results[-1]) if self._keyed else []
        return access.decision(rows(driver, results[2])) if asked else None, kept

    def _denial(self, decision: Decision) -> Refusal | None:
        """Why the caller may not, or None. The second factor comes last: nobody types a code for a right that they lack."""
        entry, rule = self._entry, self._rule
        entry.account_id = decision.account_id
        entry.break_glass = decision.break_glass
        entry.stale = decision.heard_at is not None and datetime.now(UTC) - decision.heard_at > STALE_AFTER
        revoked = decision.sessions_revoked_at
        if decision.tenant_active is False:
            return Refusal(texts.ASSOCIATION_INACTIVE)
        if decision.tenant_active is None or decision.account_id is None or not decision.account_active:
            return Refusal(texts.ACCOUNT_INACTIVE)
        # By the password, not by `iat`: Keycloak refreshes the sessions of somebody who works for another association too. It
        # counts in whole seconds, so who logs in again within that of the revocation has to do it once more.
        if revoked is not None and self._claims.entered_at < revoked.timestamp():
            return Refusal(texts.SESSION_REVOKED)
        if rule.perimeter != Perimeter.PERIMETER_SELF and (missing := self._missing_right(decision)):
            return missing
        now, within = time.time(), float(self._tools.step_up_seconds)
        if revoked is not None:  # nor does a code of before count with a password given since
            within = min(within, now - revoked.timestamp())
        if not self._claims.proves(rule.acr, within=within, at=now):
            return Refusal(texts.STEP_UP_REQUIRED)
        return None

    def _missing_right(self, decision: Decision) -> Refusal | None:
        rule = self._rule
        if not decision.assigned:
            return Refusal(texts.NOT_ASSIGNED)
        if rule.perimeter == Perimeter.PERIMETER_BENEFICIARY and not decision.beneficiary_ids:
            return not_found(".".join(rule.beneficiary_path))
        if not decision.grants:
            beneficiary = rule.perimeter == Perimeter.PERIMETER_BENEFICIARY
            return Refusal(texts.OUT_OF_PERIMETER if beneficiary else texts.NOT_ASSIGNED)
        categories = decision.categories(rule.action)
        if not categories or (not rule.any_category and self._entry.category not in categories):
            return Refusal(texts.RIGHT_MISSING)
        if (
            self._entry.stale
            and not self._tools.owns_rights
            and rule.action in {Action.ACTION_EXPORT, Action.ACTION_ADMINISTER}
        ):
            return Refusal(texts.STALE_RIGHTS)
        return None

    def _answer(self, connection: Connection, decision: Decision | None) -> Message:
        """The reply of the method, committed with all that it wrote and with its journal entry."""
        entry, keyed = self._entry, self._keyed
        if self._rule.if_match and not self._meta.if_match:
            raise Refusal(texts.PRECONDITION_REQUIRED, field="If-Match")
        call = self._call(connection, decision)
        try:
            try:
                reply = self._method.answer(self._request, call)
            finally:
                # What only the method could tell: what the call turned out to be about.
                entry.category = call.category or entry.category
                entry.facility_id = call.facility_id or entry.facility_id
            if self._rule.if_match and not call.version_checked:
                message = f"{self._rule.operation} does not compare the version that its rule asks for"
                raise AssertionError(message)
            if not entry.resource_id and not self._rule.reads:
                entry.resource_id = str(value_at(reply, self._rule.made_path))
            steps = call.end()
            if call.tenant_id != NO_TENANT and not self._rule.impersonal:
                done = entry.message(journal_pb2.JOURNAL_OUTCOME_ALLOWED, seen=call.seen)
                # A call that entered its tenant repeats safely by itself.
                if keyed and call.tenant_id == self._tenant_id:
                    steps.append(keyed.keep(reply, done, self._tools.seals))
                steps.append(journal_step(call.tenant_id, done))
            if self._remaining() <= 0:
                raise Refusal(texts.DEADLINE_PASSED)
            commit(raw(connection), *steps)
        finally:
            call.close()
        return reply

    def _call(self, connection: Connection, decision: Decision | None) -> Call:
        named = self._entry.beneficiary_id
        ids = decision.beneficiary_ids if decision else ()
        return Call(
            connection=connection,
            caller=Caller(
                subject=self._claims.subject,
                account_id=self._entry.account_id,
                tenant_id=self._tenant_id,
                acr=self._claims.acr,
                professions=tuple({grant.profession for grant in decision.grants}) if decision else (),
                service=self._claims.service,
            ),
            rule=self._rule,
            now=datetime.now(UTC),
            beneficiary_id=ids[0] if ids else named,
            beneficiary_ids=ids or ((named,) if named else ()),
            categories=decision.categories(self._rule.action) if decision else ALL_CATEGORIES,
            break_glass=self._entry.break_glass,
            if_match=self._meta.if_match,
            toolbox=self._tools,
            outbox=Outbox(self._tools.service, self._tenant_id, self._meta.traceparent),
        )

    def _repeat(self, connection: Connection, kept: list[Any]) -> Message:
        """The reply of the first call with the same key; the repetition leaves its own entry."""
        if self._keyed is None:
            message = "a call without a key repeats nothing"
            raise ValueError(message)
        reply, first = self._keyed.known(kept, self._tools.seals)
        commit(raw(connection), journal_step(self._tenant_id, self._entry.repeated(first)))
        return self._method.reply.FromString(reply)

    def _done_elsewhere(self, failure: Refusal) -> Message:
        """After a failure: the reply of a concurrent call with the same key, or the failure itself."""
        if self._keyed is None or failure.reason.code not in _ELSEWHERE:
            raise failure
        with connected(self._tools.engine) as connection:
            _, kept = self._begin(connection)
            if not kept:
                raise failure
            return self._repeat(connection, kept)

    def _may_be_late(self, failure: Refusal) -> bool:
        """Whether a method that looked up a person or a place in the projections may be a moment ahead of the event, as the
        guard itself may be."""
        if failure.reason is texts.PLACE_UNKNOWN:
            return True
        persons = self._rule.perimeter != Perimeter.PERIMETER_BENEFICIARY and bool(self._entry.beneficiary_id)
        return persons and failure.reason.code is Code.NOT_FOUND

    def _ask_owners(self) -> None:
        refresher = self._tools.refresher
        if refresher is not None:
            refresher.refresh(
                tenant_id=self._tenant_id,
                subject=self._claims.subject,
                beneficiary_id=self._entry.beneficiary_id,
                facility_id=self._entry.facility_id,
            )

    def _meaning(self, error: DBAPIError | psycopg.Error) -> Refusal:
        """What an error of the database means to the caller."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, psycopg.errors.IntegrityError):
            name = cause.diag.constraint_name or ""
            if name == idempotency.CONSTRAINT:
                return Refusal(texts.CONFLICT)
            if name in self._tools.constraints:
                return self._tools.constraints[name]
            log.error("unmapped constraint", constraint=name)
            return Refusal(texts.INTERNAL)
        if isinstance(cause, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
            return Refusal(texts.CONFLICT)
        if isinstance(cause, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
            return Refusal(texts.DEADLINE_PASSED)
        if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
            return Refusal(texts.DATABASE_UNAVAILABLE)
        log.error("unexpected database error", sqlstate=getattr(cause, "sqlstate", None), kind=type(cause).__name__)
        return Refusal(texts.INTERNAL)
