"""What a method gets: one verified caller, one transaction of one tenant, and the few things that every method does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.orm import Session

from dui_kit import facts
from dui_kit.calls import patch
from dui_kit.calls.outbox import Outbox
from dui_kit.calls.pages import Page, page_of
from dui_kit.calls.toolbox import Toolbox
from dui_kit.db.database import raw
from dui_kit.db.statements import Query, Statement, Step, run, together
from dui_kit.db.tables import entry_version
from dui_kit.errors import Refusal
from dui_kit.ids import new_id
from dui_kit.wire.contract import Rule
from dui_kit.wire.texts import ETAG_STALE, RIGHT_MISSING, SERVICE_ONLY

M = TypeVar("M", bound=Message)

_TENANT = Statement("SELECT set_config('dui.tenant', $1, true)")
_VERSION = Statement(
    "INSERT INTO entry_version"
    " (tenant_id, entry_id, version, entry_type, beneficiary_id, author_account_id, recorded_at, content)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
)
#: Above every version.
_NO_VERSION = 2**31 - 1
_v = entry_version.c
_VERSIONS = Query(
    select(_v.version, _v.content)
    .where(_v.tenant_id == bindparam("tenant"), _v.entry_id == bindparam("entry_id"))
    .where(_v.entry_type == bindparam("entry_type"), _v.version < bindparam("before"))
    .order_by(_v.version.desc())
    .limit(bindparam("size"))
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a person of an association, or a service of the platform."""

    subject: str
    account_id: str | None
    tenant_id: str
    acr: int
    professions: tuple[int, ...]
    #: The name of the service; empty: a person.
    service: str


def etag_of(entry_id: str, version: int) -> str:
    """The etag of a version: opaque, and no other entry's."""
    return blake2b(f"{entry_id}|{version}".encode(), digest_size=9).hexdigest()


@dataclass(slots=True)
class Call:
    """One call, from the moment that it is allowed to the commit."""

    connection: Connection
    caller: Caller
    rule: Rule
    now: datetime
    #: The person named by the call: the surviving record, and it with the records merged into it.
    beneficiary_id: str
    beneficiary_ids: tuple[str, ...]
    #: The categories open to the caller for the rule's action, where the call is about.
    categories: frozenset[int]
    break_glass: bool
    if_match: str
    toolbox: Toolbox
    outbox: Outbox
    #: For the journal: the category touched, and the persons that a list or a search returned.
    category: int = 0
    #: The facility that the call turned out to be about, where the request does not name one.
    facility_id: str = ""
    seen: list[str] = field(default_factory=list)
    #: What is written in one round trip with the commit.
    last_steps: list[Step] = field(default_factory=list)
    #: The version that the caller has read was compared with the one that is there.
    version_checked: bool = False
    _session: Session | None = None

    @property
    def session(self) -> Session:
        """A session in the transaction of the call: for aggregates, and for statements composed for this call."""
        if self._session is None:
            self._session = Session(self.connection, expire_on_commit=False)
        return self._session

    def rows(self, query: Query, /, **values: object) -> list[Any]:
        """The rows of a statement that never changes; `tenant` is bound to the association of the call."""
        return query.all(raw(self.connection), values | {"tenant": self.tenant_id})

    def row(self, query: Query, /, **values: object) -> Any | None:
        """Its only row, or None."""
        return query.one_or_none(raw(self.connection), values | {"tenant": self.tenant_id})

    def together(self, *asked: tuple[Query, Mapping[str, object]]) -> list[list[Any]]:
        """The rows of each of several statements with its values, in one round trip; `tenant` is bound as in `rows`."""
        tenant = {"tenant": self.tenant_id}
        return together(raw(self.connection), *((query, {**values, **tenant}) for query, values in asked))

    def write(self, query: Query, /, **values: object) -> None:
        """An INSERT, UPDATE or DELETE that never changes and returns nothing, in one round trip with the commit: nothing
        later in the call may read what it writes."""
        self.last_steps.append(query.step(values | {"tenant": self.tenant_id}))

    def end(self) -> list[Step]:
        """Sends what the session holds; the steps that are left to do before the commit."""
        if self._session is not None:
            self._session.flush()
        steps = [*self.last_steps, *self.outbox.steps()]
        self.last_steps = []
        return steps

    def close(self) -> None:
        """Lets go of the session, if there was one."""
        if self._session is not None:
            self._session.close()

    @property
    def tenant_id(self) -> str:
        """The association of the caller."""
        return self.caller.tenant_id

    def enter_tenant(self, tenant_id: str) -> None:
        """Takes a system call into an association that the request does not name (it is being created).

        Only a service of the platform may; a person's tenant comes from their token and never changes.
        """
        if not self.caller.service:
            raise Refusal(SERVICE_ONLY)
        run(raw(self.connection), _TENANT(str(UUID(tenant_id))))
        self.caller = replace(self.caller, tenant_id=tenant_id)
        self.outbox.tenant_id = tenant_id

    @staticmethod
    def new_id() -> str:
        """A UUIDv7."""
        return new_id()

    def require(self, category: int) -> None:
        """Refuses unless `category` is open to the caller here; the journal keeps it."""
        self.category = category
        if category not in self.categories:
            raise Refusal(RIGHT_MISSING)

    def saw(self, beneficiary_ids: Iterable[str]) -> None:
        """Tells the journal whose data a list or a search returned."""
        self.seen.extend(beneficiary_ids)

    def publish(self, event: Message) -> None:
        """Announces a change, in this transaction; an access fact also takes effect here, with the commit."""
        self.outbox.add(event)
        step = facts.step_of(self.tenant_id, event)
        if step is not None:
            self.last_steps.append(step)

    @staticmethod
    def etag(entry_id: str, version: int) -> str:
        """The etag of a version."""
        return etag_of(entry_id, version)

    def check_etag(self, entry_id: str, version: int) -> None:
        """Refuses a change of something that the caller has not read as it is now. For RPCs whose rule says `if_match`."""
        self.version_checked = True
        if self.if_match.removeprefix("W/").strip('"') != etag_of(entry_id, version):
            raise Refusal(ETAG_STALE, field="If-Match")

    def page(self, request: Message) -> Page:
        """The page that a request asks for."""
        return page_of(
            request,
            self.toolbox.seals,
            tenant_id=self.tenant_id,
            subject=self.caller.subject,
            operation=self.rule.operation,
        )

    def apply_mask(self, current: M, change: M, mask: FieldMask, *, prefix: str) -> M:
        """The entry after a merge patch, checked as a whole; `prefix` names the resource field of the request."""
        result = patch.apply_mask(current, change, mask, prefix=prefix)
        self.toolbox.validator.check_entry(result, prefix)
        return result

    def version_values(self, number: int) -> dict[str, object]:
        """The columns of `version_columns` for a version that the caller writes now."""
        return {"version": number, "author_account_id": self.caller.account_id, "recorded_at": self.now}

    def save_version(self, *, entry_id: str, version: int, message: Message, beneficiary_id: str | None = None) -> None:
        """Appends one version of an entry to its history."""
        self.last_steps.append(
            _VERSION(
                self.tenant_id,
                entry_id,
                version,
                message.DESCRIPTOR.full_name,
                beneficiary_id,
                self.caller.account_id,
                self.now,
                message.SerializeToString(),
            )
        )

    def versions(self, entry_id: str, kind: type[M], page: Page) -> tuple[list[M], str]:
        """A page of the versions of an entry, newest first, and the token of the next one."""
        last = page.after[0] if page.after else _NO_VERSION
        found = self.rows(
            _VERSIONS, entry_id=entry_id, entry_type=kind.DESCRIPTOR.full_name, before=last, size=page.size + 1
        )
        rows, token = page.cut(found, key=lambda row: (row.version,))
        return [kind.FromString(row.content) for row in rows], token
