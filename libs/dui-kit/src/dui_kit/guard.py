"""The guard around every method: one call = one verified caller, one transaction, one journal entry.

token → request checked by its contract → authentication level → transaction with the tenant set → account, policy and
perimeter → replay of an idempotency key → method → outbox, journal → deadline still open? → commit. A method opens no
transaction, checks no token, writes no journal and catches no exception.
"""

from __future__ import annotations

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

from dui_kit import access, idempotency, texts
from dui_kit.access import Decision
from dui_kit.call import Call, Caller
from dui_kit.contract import ALL_CATEGORIES, Action, Perimeter, Rule, value_at
from dui_kit.database import commit, connected, opening, raw
from dui_kit.errors import Code, Reason, Refusal, not_found
from dui_kit.idempotency import Keyed
from dui_kit.ids import new_id
from dui_kit.outbox import Outbox, journal_step
from dui_kit.statements import rows, run
from dui_kit.telemetry import log, trace_id_of
from dui_kit.times import to_timestamp
from dui_kit.tokens import Claims, TokenRefused
from dui_kit.toolbox import Toolbox

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
#: Refusals that are about rights, though their code says something else to the caller.
_DENIALS = frozenset({"SESSION_REVOKED", "STALE_RIGHTS"})


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


@dataclass(slots=True)
class _Trace:
    """What the journal will say of a call."""

    claims: Claims
    tenant_id: str
    rule: Rule
    category: int
    beneficiary_id: str
    facility_id: str
    trace_id: str
    resource_id: str = ""
    account_id: str | None = None
    break_glass: bool = False
    stale: bool = False

    def learn(self, call: Call) -> None:
        """Takes over what only the method could tell: what the call turned out to be about."""
        self.category = call.category or self.category
        self.facility_id = call.facility_id or self.facility_id

    def entry(self, outcome: int, reason: str = "", seen: list[str] | None = None) -> journal_pb2.JournalEntry:
        return journal_pb2.JournalEntry(
            entry_id=new_id(),
            occurred_at=to_timestamp(datetime.now(UTC)),
            account_id=self.account_id,
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

    def again(self, first: journal_pb2.JournalEntry) -> journal_pb2.JournalEntry:
        """The entry of a call that got the answer of an earlier one: about what that one was about."""
        self.category, self.resource_id = first.category, first.resource_id
        self.beneficiary_id, self.facility_id = first.beneficiary_id, first.facility_id
        entry = self.entry(journal_pb2.JOURNAL_OUTCOME_ALLOWED, seen=list(first.seen_beneficiary_ids))
        entry.repeated_call = True
        return entry


def _may_be_late(failure: Refusal, trace: _Trace) -> bool:
    """Whether a method that looked up a person or a place in the projections may be a moment ahead of the event, as the guard
    itself may be."""
    if failure.reason is texts.PLACE_UNKNOWN:
        return True
    persons = trace.rule.perimeter != Perimeter.PERIMETER_BENEFICIARY and bool(trace.beneficiary_id)
    return persons and failure.reason.code is Code.NOT_FOUND


class Guard:
    """Runs methods for verified callers."""

    def __init__(self, toolbox: Toolbox) -> None:
        """One guard for a process."""
        self._tools = toolbox

    def run(self, method: Method, request: Message, meta: Meta, remaining: Callable[[], float]) -> Message:
        """The reply of one call; Refusal when it cannot be. `remaining`: seconds until the caller stops waiting."""
        claims = self._authenticate(meta)
        rule = method.rule
        if claims.service != (rule.perimeter == Perimeter.PERIMETER_SYSTEM):
            raise Refusal(texts.SERVICE_ONLY)
        self._tools.validator.check(request)
        if meta.idempotency_key:
            idempotency.check_key(meta.idempotency_key)
        if remaining() <= 0:
            raise Refusal(texts.DEADLINE_PASSED)
        trace = _Trace(
            claims=claims,
            tenant_id=claims.tenant_id or str(getattr(request, "tenant_id", "")) or NO_TENANT,
            rule=rule,
            category=int(value_at(request, rule.category_path) or 0) if rule.category_path else rule.category,
            beneficiary_id=str(value_at(request, rule.beneficiary_path)),
            facility_id=str(value_at(request, rule.facility_path)),
            trace_id=trace_id_of(meta.traceparent),
            resource_id=str(getattr(request, rule.resource_field, "")),
        )
        try:
            return self._attempt(method, request, meta, trace, remaining)
        except Refusal as refusal:
            if refusal.reason.code is Code.PERMISSION_DENIED or refusal.reason.name in _DENIALS:
                self._journal_denial(trace, refusal.reason)
            raise

    def _authenticate(self, meta: Meta) -> Claims:
        scheme, _, token = meta.authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal(texts.TOKEN_MISSING)
        try:
            return self._tools.verifier.verify(token.strip())
        except TokenRefused as refused:
            raise Refusal(texts.TOKEN_REFUSED, why=refused.reason) from None

    def _attempt(
        self, method: Method, request: Message, meta: Meta, trace: _Trace, remaining: Callable[[], float]
    ) -> Message:
        keyed = None
        if meta.idempotency_key and not trace.rule.reads:
            keyed = Keyed(
                tenant_id=trace.tenant_id,
                subject=trace.claims.subject,
                operation=trace.rule.operation,
                key=meta.idempotency_key,
                digest=sha256(request.SerializeToString(deterministic=True)).digest(),
            )
        refreshed = self._tools.refresher is None or trace.claims.service
        while True:
            try:
                with connected(self._tools.engine) as connection:
                    decision, known = self._open(connection, trace, keyed, remaining)
                    refusal = None if decision is None else self._judge(trace, decision)
                    if refusal is None:
                        if keyed and known:
                            return self._repeat(connection, method, trace, keyed, known)
                        return self._answer(connection, method, request, meta, trace, decision, keyed, remaining)
            except (DBAPIError, psycopg.Error) as error:
                refusal = self._translate(error)
                if refusal.reason is texts.INTERNAL:
                    raise
                return self._replay(method, trace, keyed, remaining, refusal)
            except Refusal as failure:
                if refreshed or not _may_be_late(failure, trace):
                    return self._replay(method, trace, keyed, remaining, failure)
                refusal = failure
            if refreshed or refusal.reason.name not in _REFRESHABLE:
                raise refusal
            refreshed = True
            self._refresh(trace)

    def _open(
        self, connection: Connection, trace: _Trace, keyed: Keyed | None, remaining: Callable[[], float]
    ) -> tuple[Decision | None, list[Any]]:
        """Begins the transaction of the call, in one round trip with what decides it and what its key already answered."""
        milliseconds = int(min(remaining(), DEFAULT_SECONDS) * 1000)
        steps = list(opening(trace.tenant_id, durable=not trace.rule.reads, statement_ms=milliseconds))
        asked = not trace.claims.service
        if asked:
            steps.append(
                access.question(
                    trace.rule,
                    tenant_id=trace.tenant_id,
                    subject=trace.claims.subject,
                    beneficiary_id=trace.beneficiary_id,
                    facility_id=trace.facility_id,
                )
            )
        if keyed:
            steps.append(keyed.lookup())
        try:
            results = run(raw(connection), *steps)
        except psycopg.OperationalError:
            # The pool held a connection to a server that is gone: nothing was done yet, so a new one is tried once.
            connection.invalidate()
            results = run(raw(connection), *steps)
        driver = raw(connection)
        known = rows(driver, results[-1]) if keyed else []
        return access.decision(rows(driver, results[2])) if asked else None, known

    def _judge(self, trace: _Trace, decision: Decision) -> Refusal | None:
        """Why the call is refused, or None."""
        trace.account_id = decision.account_id
        trace.break_glass = decision.break_glass
        trace.stale = decision.heard_at is not None and datetime.now(UTC) - decision.heard_at > STALE_AFTER
        rule = trace.rule
        revoked = decision.sessions_revoked_at
        if decision.tenant_active is False:
            return Refusal(texts.ASSOCIATION_INACTIVE)
        if decision.tenant_active is None or decision.account_id is None or not decision.account_active:
            return Refusal(texts.ACCOUNT_INACTIVE)
        if revoked is not None and trace.claims.issued_at < revoked.timestamp():
            return Refusal(texts.SESSION_REVOKED)
        if trace.claims.acr < rule.acr:
            return Refusal(texts.STEP_UP_REQUIRED)
        if rule.perimeter == Perimeter.PERIMETER_SELF:
            return None
        if not decision.assigned:
            return Refusal(texts.NOT_ASSIGNED)
        if rule.perimeter == Perimeter.PERIMETER_BENEFICIARY and not decision.beneficiary_ids:
            return not_found(".".join(rule.beneficiary_path))
        if not decision.grants:
            beneficiary = rule.perimeter == Perimeter.PERIMETER_BENEFICIARY
            return Refusal(texts.OUT_OF_PERIMETER if beneficiary else texts.NOT_ASSIGNED)
        categories = decision.categories(rule.action)
        if not categories or (not rule.any_category and trace.category not in categories):
            return Refusal(texts.RIGHT_MISSING)
        if (
            trace.stale
            and not self._tools.owns_rights
            and rule.action in {Action.ACTION_EXPORT, Action.ACTION_ADMINISTER}
        ):
            return Refusal(texts.STALE_RIGHTS)
        return None

    def _repeat(self, connection: Connection, method: Method, trace: _Trace, keyed: Keyed, known: list[Any]) -> Message:
        """The reply of the first call with the same key; the repetition leaves its own trace."""
        reply, first = keyed.known(known, self._tools.page_tokens)
        commit(raw(connection), journal_step(trace.tenant_id, trace.again(first)))
        return method.reply.FromString(reply)

    def _answer(
        self,
        connection: Connection,
        method: Method,
        request: Message,
        meta: Meta,
        trace: _Trace,
        decision: Decision | None,
        keyed: Keyed | None,
        remaining: Callable[[], float],
    ) -> Message:
        call = self._call(connection, meta, trace, decision)
        try:
            try:
                reply = method.answer(request, call)
            finally:
                trace.learn(call)
            if not trace.resource_id and not trace.rule.reads:
                trace.resource_id = str(value_at(reply, trace.rule.made_path))
            steps = call.end()
            if call.tenant_id != NO_TENANT:
                entry = trace.entry(journal_pb2.JOURNAL_OUTCOME_ALLOWED, seen=call.seen)
                if (
                    keyed and call.tenant_id == trace.tenant_id
                ):  # a call that entered its tenant repeats safely by itself
                    steps.append(keyed.keep(reply, entry, self._tools.page_tokens))
                steps.append(journal_step(call.tenant_id, entry))
            if remaining() <= 0:
                raise Refusal(texts.DEADLINE_PASSED)
            commit(raw(connection), *steps)
        finally:
            call.close()
        return reply

    def _call(self, connection: Connection, meta: Meta, trace: _Trace, decision: Decision | None) -> Call:
        ids = decision.beneficiary_ids if decision else ()
        return Call(
            connection=connection,
            caller=Caller(
                subject=trace.claims.subject,
                account_id=trace.account_id,
                tenant_id=trace.tenant_id,
                acr=trace.claims.acr,
                professions=tuple({grant.profession for grant in decision.grants}) if decision else (),
                service=trace.claims.service,
            ),
            rule=trace.rule,
            now=datetime.now(UTC),
            beneficiary_id=ids[0] if ids else trace.beneficiary_id,
            beneficiary_ids=ids or ((trace.beneficiary_id,) if trace.beneficiary_id else ()),
            categories=decision.categories(trace.rule.action) if decision else ALL_CATEGORIES,
            break_glass=trace.break_glass,
            if_match=meta.if_match,
            toolbox=self._tools,
            outbox=Outbox(self._tools.service, trace.tenant_id, meta.traceparent),
        )

    def _replay(
        self, method: Method, trace: _Trace, keyed: Keyed | None, remaining: Callable[[], float], failure: Refusal
    ) -> Message:
        """After a failure: the outcome of a concurrent call with the same key, or the failure itself."""
        replayable = {Code.ABORTED, Code.ALREADY_EXISTS, Code.FAILED_PRECONDITION, Code.NOT_FOUND}
        if keyed is None or failure.reason.code not in replayable:
            raise failure
        with connected(self._tools.engine) as connection:
            _, known = self._open(connection, trace, keyed, remaining)
            if not known:
                raise failure
            return self._repeat(connection, method, trace, keyed, known)

    def _translate(self, error: DBAPIError | psycopg.Error) -> Refusal:
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

    def _refresh(self, trace: _Trace) -> None:
        refresher = self._tools.refresher
        if refresher is not None:
            refresher.refresh(
                tenant_id=trace.tenant_id,
                subject=trace.claims.subject,
                beneficiary_id=trace.beneficiary_id,
                facility_id=trace.facility_id,
            )

    def _journal_denial(self, trace: _Trace, reason: Reason) -> None:
        """A refusal leaves its trace in a transaction of its own; a journal that is down never turns it into a yes."""
        if trace.tenant_id == NO_TENANT:
            return
        try:
            denial = trace.entry(journal_pb2.JOURNAL_OUTCOME_DENIED, reason.name)
            with connected(self._tools.engine) as connection:
                begun = opening(trace.tenant_id, durable=True, statement_ms=2000)
                commit(raw(connection), *begun, journal_step(trace.tenant_id, denial))
        except (DBAPIError, psycopg.Error) as error:
            log.error("a refusal could not be journalled", kind=type(error).__name__, reason=reason.name)
