"""The job that empties the queue: one task after another, each in three steps.

Read the task and the rows (one transaction); ask Keycloak (no transaction: it may take seconds, or fail); write what came
of it (one transaction). A crash in between repeats the task, and every request to Keycloak can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from dui_kit.database import raw
from dui_kit.outbox import Outbox
from dui_kit.telemetry import log
from dui_kit.worker.contract import ConsumerCall, Job, WorkerContext
from sqlalchemy import bindparam, delete, func, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from dui_identity.organisation.queries import association_of
from dui_identity.provisioning.keycloak import MailNotSent, ProviderRefuses, ProviderUnavailable
from dui_identity.provisioning.rules import (
    INVITATION_ATTEMPTS,
    Elsewhere,
    Found,
    Kind,
    PasswordLost,
    Problem,
    UserEnd,
    adopt,
    first_password,
    retry_delay,
    wanted,
)
from dui_identity.provisioning.tables import ProvisioningTask
from dui_identity.staff.queries import SubjectTaken, account_at_provider, provisioned, set_problem
from dui_identity.staff.rules import Status

#: Seconds between two looks at the queue: an account is ready a second or two after it was asked for.
EVERY_SECONDS = 1.0

_DUE = text("SELECT due_tenants(:now)").bindparams(bindparam("now"))
_ELSEWHERE = text("SELECT subject_elsewhere(:subject, :tenant)")


class Provider(Protocol):
    """What is asked of the identity provider; `dui_identity.provisioning.keycloak` says what each does."""

    def ensure_organization(self, *, alias: str, name: str, tenant_id: str, enabled: bool) -> str: ...
    def set_member(self, user_id: str, organization_id: str, *, member: bool) -> None: ...
    def create_user(self, *, login: str, email: str | None, account_id: str, password: str | None) -> str | None: ...
    def find_user(self, *, login: str, email: str | None) -> Found | None: ...
    def get_user(self, user_id: str) -> Found | None: ...
    def update_user(
        self, user_id: str, *, enabled: bool, account_id: str | None = None, email: str | None = None
    ) -> None: ...
    def log_out(self, user_id: str) -> None: ...
    def delete_user(self, user_id: str) -> None: ...
    def invite(self, user_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Stopped(Exception):
    """A task cannot be done now."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Work:
    """One task with everything that it needs, read in one transaction."""

    tenant_id: str
    sequence: int
    kind: Kind
    attempts: int
    password_nonce: bytes | None
    slug: str
    name: str
    active: bool
    organization_id: str | None
    account_id: str | None
    status: Status
    login: str
    email: str | None
    subject: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a task that succeeded learnt."""

    organization_id: str | None = None
    subject: str | None = None
    login: str | None = None
    #: The account was joined to a user whose holder has confirmed the address: they can log in already.
    joined: bool = False


class Provisioner:
    """Empties the queue."""

    def __init__(self, provider: Provider, password_key: bytes, service: str) -> None:
        """`service` names the outbox's subjects."""
        self._provider = provider
        self._key = password_key
        self._service = service

    def job(self) -> Job:
        """The job of the worker process."""
        return Job("provisioning", EVERY_SECONDS, self.run)

    def run(self, context: WorkerContext) -> None:
        """Does every task that is due; a failure of one delays its account's next ones, and no other."""
        with context.engine().connect() as connection:
            tenants = [str(tenant) for tenant in connection.execute(_DUE, {"now": datetime.now(UTC)}).scalars()]
        for tenant_id in tenants:
            while not context.stopping():
                with context.tenant_session(tenant_id) as session:
                    work = self._next(session, tenant_id)
                if work is None:
                    break
                self._do(context, work)

    # ------------------------------------------------------------------------------------------------------------- read

    def _next(self, session: Session, tenant_id: str) -> Work | None:
        """The first task that is due and has none before it, of its account or of the association."""
        task, earlier = ProvisioningTask, aliased(ProvisioningTask)
        row = session.scalars(
            select(task)
            .where(
                task.tenant_id == tenant_id,
                task.due_at <= datetime.now(UTC),
                ~select(earlier.sequence)
                .where(
                    earlier.tenant_id == task.tenant_id,
                    earlier.sequence < task.sequence,
                    or_(earlier.account_id.is_(None), earlier.account_id == task.account_id),
                )
                .exists(),
            )
            .order_by(task.sequence)
            .limit(1)
        ).first()
        if row is None:
            return None
        association = association_of(session, tenant_id)
        account = account_at_provider(session, tenant_id, row.account_id) if row.account_id else None
        return Work(
            tenant_id=tenant_id,
            sequence=row.sequence,
            kind=Kind(row.kind),
            attempts=row.attempts,
            password_nonce=row.password_nonce,
            slug=association.slug,
            name=association.name,
            active=association.active,
            organization_id=association.organization_id,
            account_id=row.account_id,
            status=Status(account.status) if account else Status.ENDED,
            login=account.login if account else "",
            email=account.email if account else None,
            subject=account.subject if account else None,
        )

    def _elsewhere(self, context: WorkerContext, work: Work, subject: str) -> Elsewhere:
        with context.engine().connect() as connection:
            found = connection.execute(_ELSEWHERE, {"subject": subject, "tenant": work.tenant_id}).scalar_one()
        return Elsewhere(found)

    # --------------------------------------------------------------------------------------------------------------- do

    def _do(self, context: WorkerContext, work: Work) -> None:
        try:
            outcome = self._ask(context, work)
            with context.tenant_session(work.tenant_id) as session:
                self._done(session, work, outcome)
        except ProviderUnavailable:
            problem = Problem.PROVIDER_UNAVAILABLE
        except MailNotSent:
            problem = Problem.INVITATION_NOT_SENT
        except ProviderRefuses as refusal:
            problem = Problem.PROVIDER_REFUSES
            log.warning("the identity provider refuses", task=work.kind.name, status=refusal.status)
        except PasswordLost:
            problem = Problem.PASSWORD_LOST
        except SubjectTaken:
            problem = Problem.LOGIN_TAKEN
        except Stopped as stopped:
            problem = stopped.problem
        else:
            return
        with context.tenant_session(work.tenant_id) as session:
            self._failed(session, work, problem)

    def _ask(self, context: WorkerContext, work: Work) -> Outcome:
        if work.account_id is None:
            organization_id = self._provider.ensure_organization(
                alias=work.slug, name=work.name, tenant_id=work.tenant_id, enabled=work.active
            )
            return Outcome(organization_id=organization_id)
        return self._ask_account(context, work, work.account_id)

    def _ask_account(self, context: WorkerContext, work: Work, account_id: str) -> Outcome:
        provider = self._provider
        user = self._user(work, account_id)
        if user is None:
            return Outcome()
        plan = wanted(
            work.status,
            self._elsewhere(context, work, user.user_id),
            lock_out=work.kind is Kind.LOCK_OUT,
        )
        if work.organization_id is None:
            raise Stopped(Problem.PROVIDER_UNAVAILABLE)
        if plan.log_out:
            provider.log_out(user.user_id)
        provider.set_member(user.user_id, work.organization_id, member=plan.member)
        match plan.end:
            case None:
                email = (work.email or "") if plan.exclusive else None
                provider.update_user(user.user_id, enabled=True, account_id=account_id, email=email)
                if work.kind is Kind.INVITE and plan.exclusive:
                    provider.invite(user.user_id)
            case UserEnd.KEEP:
                pass
            case UserEnd.DISABLE:
                provider.update_user(user.user_id, enabled=False)
            case UserEnd.DELETE:
                provider.delete_user(user.user_id)
        return Outcome(subject=user.user_id, login=user.login, joined=work.subject is None and user.email_verified)

    def _user(self, work: Work, account_id: str) -> Found | None:
        """The account's user, made if need be; None when there is none and none is wanted any more."""
        if work.subject:
            user = self._provider.get_user(work.subject)
            if user is None and work.status is not Status.ENDED:
                raise Stopped(Problem.PROVIDER_REFUSES)  # somebody removed it by hand: that is for the operator
            return user
        if work.status is Status.ENDED:
            # Ended before it was known here: an attempt cut short may have made the user all the same.
            found = self._provider.find_user(login=work.login, email=None)
            return found if found and account_id in found.account_ids else None
        found = self._provider.find_user(login=work.login, email=work.email)
        if found is None:
            password = first_password(work.password_nonce, self._key, login=work.login) if work.password_nonce else None
            user_id = self._provider.create_user(
                login=work.login, email=work.email, account_id=account_id, password=password
            )
            if user_id is not None:
                return Found(user_id, work.login, work.email or "", False, frozenset({account_id}))
            raise Stopped(Problem.LOGIN_TAKEN)
        problem = adopt(found, account_id=account_id, email=work.email)
        if problem is not Problem.NONE:
            raise Stopped(problem)
        return found

    # ------------------------------------------------------------------------------------------------------------ write

    def _done(self, session: Session, work: Work, outcome: Outcome) -> None:
        now = datetime.now(UTC)
        task = ProvisioningTask
        if work.account_id is None:
            association_of(session, work.tenant_id, lock=True).organization_id = outcome.organization_id
        else:
            outbox = Outbox(self._service, work.tenant_id)
            call = ConsumerCall(session, work.tenant_id, now, outbox)
            if outcome.subject is not None and outcome.login is not None:
                provisioned(session, call.publish, work.tenant_id, work.account_id, outcome.subject, outcome.login, now)
            set_problem(session, work.tenant_id, work.account_id, Problem.NONE, invited=work.kind is Kind.INVITE)
            outbox.write(raw(session))
            if outcome.joined:
                mine = (task.tenant_id == work.tenant_id, task.account_id == work.account_id)
                session.execute(delete(task).where(*mine, task.kind == Kind.INVITE))
        session.execute(delete(task).where(task.tenant_id == work.tenant_id, task.sequence == work.sequence))

    def _failed(self, session: Session, work: Work, problem: Problem) -> None:
        task = ProvisioningTask
        attempts = work.attempts + 1
        key = (task.tenant_id == work.tenant_id, task.sequence == work.sequence)
        if work.account_id is not None:
            set_problem(session, work.tenant_id, work.account_id, problem)
        if problem is Problem.INVITATION_NOT_SENT and attempts >= INVITATION_ATTEMPTS:
            session.execute(delete(task).where(*key))
            return
        session.execute(
            update(task)
            .where(*key)
            .values(attempts=attempts, problem=problem, due_at=func.now() + retry_delay(problem, attempts))
        )
        log.warning("provisioning waits", task=work.kind.name, problem=problem.name, attempts=attempts)
