"""The job that empties the queue: one task after another, of one association after another, each in three steps.

Read the task and the rows (one transaction); ask Keycloak (no transaction: it may take seconds, or fail); write what came
of it (one transaction). A crash in between repeats the task, and every request to Keycloak can be repeated.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from dui_kit.db.transaction import Transaction
from dui_kit.wire.telemetry import log
from dui_kit.worker.parts import Job, WorkerContext
from sqlalchemy import Select, bindparam, case, delete, exists, func, select, text, update
from sqlalchemy.orm import aliased

from dui_identity.organisation.queries import association_of
from dui_identity.provisioning.keycloak import MailNotSent, ProviderRefuses, ProviderUnavailable
from dui_identity.provisioning.queue import ELSEWHERE, enqueue
from dui_identity.provisioning.rules import (
    INVITATION_ATTEMPTS,
    INVITATION_HOLDS,
    URGENCY,
    Credentials,
    Elsewhere,
    Found,
    Kind,
    LoginTaken,
    PasswordLost,
    Problem,
    UserEnd,
    devices_before,
    first_password,
    followed,
    in_turn,
    retry_delay,
    user_of,
    wanted,
)
from dui_identity.provisioning.tables import ProvisioningTask
from dui_identity.staff.queries import (
    SubjectTaken,
    account_at_provider,
    lock_account,
    provisioned,
    set_problem,
    set_problem_of_new_accounts,
)
from dui_identity.staff.rules import Status

#: Seconds between two looks at the queue: an account is ready a second or two after it was asked for.
EVERY_SECONDS = 1.0

#: Associations served in one round: whoever comes meanwhile waits for as long as these take, a few seconds.
SERVED_AT_ONCE = 10
LOOKED_AT_AT_ONCE = 5

_DUE = text("SELECT tenant::text, is_answer FROM due_work(:now)").bindparams(bindparam("now"))


class Provider(Protocol):
    """What is asked of the identity provider; `dui_identity.provisioning.keycloak` says what each does."""

    def ensure_organization(self, *, alias: str, name: str, tenant_id: str, enabled: bool) -> str: ...
    def set_member(self, user_id: str, organization_id: str, *, member: bool) -> None: ...
    def is_member(self, user_id: str, organization_id: str) -> bool: ...
    def ask_to_join(self, user_id: str, organization_id: str) -> None: ...
    def withdraw(self, email: str, organization_id: str) -> None: ...
    def create_user(self, *, login: str, email: str | None, account_id: str, password: str | None) -> str | None: ...
    def find_users(self, *, login: str, email: str | None) -> list[Found]: ...
    def get_user(self, user_id: str) -> Found | None: ...
    def update_user(
        self, user_id: str, *, enabled: bool, account_id: str | None = None, email: str | None = None
    ) -> None: ...
    def log_out(self, user_id: str) -> None: ...
    def delete_user(self, user_id: str) -> None: ...
    def invite(self, user_id: str) -> None: ...
    def set_first_password(self, user_id: str, password: str) -> None: ...
    def credentials(self, user_id: str) -> Credentials: ...
    def remove_device(self, user_id: str, device_id: str) -> None: ...


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
    created_at: datetime
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
    #: The person may enter: with a first password, or because they have followed their invitation.
    may_enter: bool = False
    #: A mail was sent: its answer is to be waited for.
    invited: bool = False
    #: The user of an account in creation has to be made, again: the one that was asked is gone.
    again: bool = False


class Provisioner:
    """Empties the queue."""

    def __init__(self, provider: Provider, password_key: bytes) -> None:
        """`password_key`: the key of first passwords."""
        self._provider = provider
        self._key = password_key
        #: The associations that were served last: with what is urgent, and with a look for an answer.
        self._last = {False: "", True: ""}

    def job(self) -> Job:
        """The job of the worker process."""
        return Job("provisioning", EVERY_SECONDS, self.run)

    def run(self, context: WorkerContext) -> None:
        """Does every task that is due; a failure of one delays its account's next ones, and no other.

        In rounds, since more may become due all the time: in each, one task of an association and then it is another one's
        turn, and looks for answers only where nothing else was to be done.
        """
        while not context.stopping():
            with context.engine.connect() as connection:
                due = [(row.tenant, row.is_answer) for row in connection.execute(_DUE, {"now": datetime.now(UTC)})]
            urgent = {tenant_id for tenant_id, is_answer in due if not is_answer}
            answers = {tenant_id for tenant_id, is_answer in due if is_answer}
            served = self._round(context, urgent, SERVED_AT_ONCE, answer=False)
            looked = self._round(context, answers - served, LOOKED_AT_AT_ONCE, answer=True)
            if not served and not looked:
                return

    def _round(self, context: WorkerContext, tenants: Collection[str], at_most: int, *, answer: bool) -> set[str]:
        """Does one task for each association whose turn it is; those for which there was one."""
        served: set[str] = set()
        for tenant_id in in_turn(tenants, after=self._last[answer]):
            if context.stopping() or len(served) == at_most:
                break
            with context.transaction(tenant_id) as transaction:
                work = self._next(transaction, answer=answer)
            if work is not None:
                # First: a task that breaks the run is not the first of the next one.
                self._last[answer] = tenant_id
                served.add(tenant_id)
                self._do(context, work)
        return served

    # ------------------------------------------------------------------------------------------------------------- read

    def _next(self, transaction: Transaction, *, answer: bool) -> Work | None:
        """The task that comes first of those that are due and have none before them, of their account or of the association."""
        tenant_id = transaction.tenant_id
        row = transaction.session.scalars(_first_due(transaction, answer=answer)).first()
        if row is None:
            return None
        association = association_of(transaction)
        account = account_at_provider(transaction, row.account_id) if row.account_id else None
        return Work(
            tenant_id=tenant_id,
            sequence=row.sequence,
            kind=Kind(row.kind),
            attempts=row.attempts,
            password_nonce=row.password_nonce,
            created_at=row.created_at,
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
        with context.engine.connect() as connection:
            found = connection.execute(ELSEWHERE, {"subject": subject, "tenant": work.tenant_id}).scalar_one()
        return Elsewhere(found)

    # --------------------------------------------------------------------------------------------------------------- do

    def _do(self, context: WorkerContext, work: Work) -> None:
        try:
            outcome = self._ask(context, work)
            with context.transaction(work.tenant_id) as transaction:
                self._done(transaction, work, outcome)
        except ProviderUnavailable:
            problem = Problem.PROVIDER_UNAVAILABLE
        except MailNotSent:
            problem = Problem.INVITATION_NOT_SENT
        except ProviderRefuses as refusal:
            problem = Problem.PROVIDER_REFUSES
            log.warning("the identity provider refuses", task=work.kind.name, status=refusal.status)
        except PasswordLost:
            problem = Problem.PASSWORD_LOST
        except (SubjectTaken, LoginTaken):
            problem = Problem.LOGIN_TAKEN
        except Stopped as stopped:
            problem = stopped.problem
        else:
            return
        with context.transaction(work.tenant_id) as transaction:
            self._failed(transaction, work, problem)

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
            return Outcome(again=work.kind is Kind.ANSWER)
        if work.organization_id is None:
            raise Stopped(Problem.PROVIDER_UNAVAILABLE)
        own = work.subject is not None or account_id in user.account_ids
        if work.kind is Kind.ANSWER:
            return self._look_for_answer(work, account_id, user, work.organization_id, own=own)
        if not own:
            # The login that the person has already. Nothing of it is touched or told before they say yes.
            if work.kind is Kind.INVITE:
                self._ask_to_join(user, work.organization_id)
            return Outcome(invited=work.kind is Kind.INVITE)
        plan = wanted(
            work.status,
            self._elsewhere(context, work, user.user_id),
            lock_out=work.kind is Kind.LOCK_OUT,
        )
        if plan.log_out:
            provider.log_out(user.user_id)
        if plan.member and plan.exclusive and user.email and not work.email:
            # Keycloak lets nobody of an organization be without the address that they had.
            provider.set_member(user.user_id, work.organization_id, member=False)
            provider.update_user(user.user_id, enabled=True, email="")
        provider.set_member(user.user_id, work.organization_id, member=plan.member)
        invited = False
        match plan.end:
            case None:
                email = (work.email or "") if plan.exclusive else None
                provider.update_user(user.user_id, enabled=True, account_id=account_id, email=email)
                if work.kind is Kind.INVITE:
                    invited = self._invite(work, user, exclusive=plan.exclusive)
            case UserEnd.KEEP:
                pass
            case UserEnd.DISABLE:
                provider.update_user(user.user_id, enabled=False)
            case UserEnd.DELETE:
                provider.delete_user(user.user_id)
        return Outcome(subject=user.user_id, login=user.login, may_enter=not work.email, invited=invited)

    def _user(self, work: Work, account_id: str) -> Found | None:
        """The account's user, made if need be, or the login that the person has already; None when there is none and none is
        wanted."""
        if work.subject:
            user = self._provider.get_user(work.subject)
            if user is None and work.status is not Status.ENDED:
                raise Stopped(Problem.PROVIDER_REFUSES)  # somebody removed it by hand: that is for the operator
            return user
        if work.status is Status.ENDED:
            # Ended before it was known here: an attempt cut short may have made the user all the same, and somebody may have
            # been asked to join.
            if work.email and work.organization_id:
                self._provider.withdraw(work.email, work.organization_id)
            found = self._provider.find_users(login=work.login, email=None)
            return next((user for user in found if account_id in user.account_ids), None)
        found = self._provider.find_users(login=work.login, email=work.email)
        user = user_of(found, account_id=account_id, login=work.login, email=work.email)
        if user is not None or work.kind is Kind.ANSWER:
            return user
        password = first_password(work.password_nonce, self._key, login=work.login) if work.password_nonce else None
        user_id = self._provider.create_user(
            login=work.login, email=work.email, account_id=account_id, password=password
        )
        if user_id is None:
            raise LoginTaken
        return Found(user_id, work.login, work.email or "", False, frozenset({account_id}))

    def _ask_to_join(self, user: Found, organization_id: str) -> None:
        """Asks the holder of a login whether they join the association too. An association that has suspended them keeps them
        out by its own facts: they must be able to answer this one."""
        self._provider.withdraw(user.email, organization_id)
        self._provider.update_user(user.user_id, enabled=True)
        self._provider.ask_to_join(user.user_id, organization_id)

    def _invite(self, work: Work, user: Found, *, exclusive: bool) -> bool:
        """Lets a person begin anew; whether a mail was sent. What they had of devices and sessions ends here, unless another
        association relies on it: then the devices end with the answer.
        """
        if exclusive:
            for device in self._provider.credentials(user.user_id).devices:
                self._provider.remove_device(user.user_id, device)
            self._provider.log_out(user.user_id)
        if work.password_nonce is None:
            self._provider.invite(user.user_id)
            return True
        if not exclusive:
            raise PasswordLost  # they joined another association since it was given out
        password = first_password(work.password_nonce, self._key, login=work.login)
        self._provider.set_first_password(user.user_id, password)
        return False

    def _look_for_answer(self, work: Work, account_id: str, user: Found, organization_id: str, *, own: bool) -> Outcome:
        if own:
            credentials = self._provider.credentials(user.user_id)
            # A subject that is not written down yet: they said yes, and the attempt that saw it was cut short.
            invited_at = work.created_at if work.subject else None
            if not followed(user, credentials, invited_at=invited_at):
                raise Stopped(Problem.INVITATION_PENDING)
            for device in devices_before(credentials, invited_at):
                self._provider.remove_device(user.user_id, device)
        elif self._provider.is_member(user.user_id, organization_id):
            self._provider.update_user(user.user_id, enabled=True, account_id=account_id)
        else:
            raise Stopped(Problem.INVITATION_PENDING)
        return Outcome(subject=user.user_id, login=user.login, may_enter=True)

    # ------------------------------------------------------------------------------------------------------------ write

    def _done(self, transaction: Transaction, work: Work, outcome: Outcome) -> None:
        task, execute = ProvisioningTask, transaction.session.execute
        if work.account_id is None:
            association_of(transaction, lock=True).organization_id = outcome.organization_id
        else:
            if outcome.subject is not None and outcome.login is not None:
                provisioned(transaction, work.account_id, outcome.subject, outcome.login, may_enter=outcome.may_enter)
            # What is said of an invitation is for the tasks that are about it.
            about_invitation = work.kind in {Kind.INVITE, Kind.ANSWER} or not work.email
            problem = Problem.INVITATION_PENDING if outcome.invited else Problem.NONE
            set_problem(transaction, work.account_id, problem, invited=about_invitation)
            self._follow_up(transaction, work, work.account_id, outcome)
        execute(delete(task).where(task.tenant_id == work.tenant_id, task.sequence == work.sequence))

    @staticmethod
    def _follow_up(transaction: Transaction, work: Work, account_id: str, outcome: Outcome) -> None:
        """What comes after a task that is done: the answer to an invitation is waited for; an account in creation that got
        another address is invited there."""
        task, session = ProvisioningTask, transaction.session
        mine = (task.tenant_id == work.tenant_id, task.account_id == account_id)
        follows: Kind | None = None
        if outcome.again:
            follows = Kind.ACCOUNT
        elif outcome.invited:
            # One that was replaced while it was sent has an answer waited for already.
            session.execute(delete(task).where(*mine, task.kind == Kind.ANSWER))
            follows = Kind.ANSWER
        elif not work.email:
            session.execute(delete(task).where(*mine, task.kind == Kind.ANSWER))
        elif work.kind is Kind.ACCOUNT and work.status is Status.PROVISIONING:
            invited = session.scalar(select(exists().where(*mine, task.kind == Kind.INVITE)))
            follows = None if invited else Kind.INVITE
        if follows:
            enqueue(transaction, account_id=account_id, kind=follows)

    def _failed(self, transaction: Transaction, work: Work, problem: Problem) -> None:
        session = transaction.session
        task = ProvisioningTask
        attempts = work.attempts + 1
        key = (task.tenant_id == work.tenant_id, task.sequence == work.sequence)
        if work.account_id is not None:
            lock_account(transaction, work.account_id)
            if session.scalar(select(task.sequence).where(*key)) is None:
                return  # replaced or taken back meanwhile: what became of it is nobody's problem
        given_up = problem is Problem.INVITATION_NOT_SENT and attempts >= INVITATION_ATTEMPTS
        if work.kind is Kind.INVITE and problem is Problem.PASSWORD_LOST:
            given_up = True  # it will not be found again, and the next invitation would wait behind it
        if problem is Problem.INVITATION_PENDING and datetime.now(UTC) - work.created_at > INVITATION_HOLDS:
            problem, given_up = Problem.INVITATION_EXPIRED, True
        if work.account_id is None:
            # Its accounts wait behind it, and would say nothing.
            set_problem_of_new_accounts(transaction, problem)
        else:
            set_problem(transaction, work.account_id, problem)
        if given_up:
            session.execute(delete(task).where(*key))
            return
        pause = retry_delay(problem, attempts, waited=datetime.now(UTC) - work.created_at)
        session.execute(update(task).where(*key).values(attempts=attempts, problem=problem, due_at=func.now() + pause))
        if problem is not Problem.INVITATION_PENDING:
            log.warning("provisioning waits", task=work.kind.name, problem=problem.name, attempts=attempts)


def _first_due(transaction: Transaction, *, answer: bool) -> Select[ProvisioningTask]:
    """What is urgent by its kind, then in its order; answers by who has waited longest for a look."""
    task, earlier = ProvisioningTask, aliased(ProvisioningTask)
    rank = case({kind.value: place for place, kind in enumerate(URGENCY)}, value=task.kind)
    before = select(earlier.sequence).where(
        earlier.tenant_id == task.tenant_id, earlier.sequence < task.sequence, earlier.kind != Kind.ANSWER
    )
    return (
        select(task)
        .where(
            task.tenant_id == transaction.tenant_id,
            (task.kind == Kind.ANSWER) if answer else (task.kind != Kind.ANSWER),
            task.due_at <= transaction.now,
            ~before.where(earlier.account_id.is_(None)).exists(),
            ~before.where(earlier.account_id == task.account_id).exists(),
        )
        .order_by(*((task.due_at,) if answer else (rank, task.sequence)))
        .limit(1)
    )
