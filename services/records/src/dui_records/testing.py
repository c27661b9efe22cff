"""For tests of records: an association, its people, and short ways to do what a secretary does."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from dui.access.v1 import facts_pb2
from dui.journal.v1.journal_pb2 import JournalEntry
from dui.options.v1.options_pb2 import Action, Category
from dui.records.v1 import beneficiaries_pb2 as people
from dui.records.v1 import stays_pb2 as stays
from dui_kit.ids import new_id
from dui_kit.testing import Harness
from dui_kit.times import to_timestamp
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

SECRETARY, NURSE, EDUCATOR, DIRECTOR = 19, 5, 15, 1
ALL = (
    Action.ACTION_READ,
    Action.ACTION_WRITE,
    Action.ACTION_SEARCH,
    Action.ACTION_EXPORT,
    Action.ACTION_ADMINISTER,
)
READ_WRITE = (Action.ACTION_READ, Action.ACTION_WRITE)
POLICY: dict[int, dict[int, tuple[int, ...]]] = {
    SECRETARY: {
        Category.CATEGORY_IDENTITY: (*READ_WRITE, Action.ACTION_SEARCH),
        Category.CATEGORY_ADMINISTRATIVE: READ_WRITE,
    },
    NURSE: {
        Category.CATEGORY_IDENTITY: (Action.ACTION_READ,),
        Category.CATEGORY_ADMINISTRATIVE: (Action.ACTION_READ,),
        Category.CATEGORY_ALERT: READ_WRITE,
        Category.CATEGORY_NURSING: READ_WRITE,
        Category.CATEGORY_MEDICAL: READ_WRITE,
        Category.CATEGORY_MEDICATION: READ_WRITE,
    },
    EDUCATOR: {
        Category.CATEGORY_IDENTITY: (Action.ACTION_READ,),
        Category.CATEGORY_ALERT: (Action.ACTION_READ,),
        Category.CATEGORY_EDUCATIONAL: READ_WRITE,
    },
    DIRECTOR: dict.fromkeys(range(1, 15), ALL),
}


def mask(*paths: str) -> FieldMask:
    """A field mask."""
    return FieldMask(paths=paths)


class World:
    """One association with two facilities, and one person of each profession in the first, whose unit they share.

    Subjects: `secretary`, `nurse`, `nurse2`, `educator`, `director` (whole association), `elsewhere` (secretary of the
    other facility).
    """

    def __init__(self, harness: Harness, now: datetime) -> None:
        self.harness = harness
        self.tenant = new_id()
        self.home, self.workshop, self.unit, self.other_unit = new_id(), new_id(), new_id(), new_id()
        self.now = now
        self.today = now.date()
        self.accounts: dict[str, str] = {}
        harness.facts(self.tenant, [facts_pb2.TenantChanged(tenant_id=self.tenant, version=1, active=True)])
        self.place(self.home, self.unit, self.other_unit)
        self.place(self.workshop, category="246")
        for profession, rights in POLICY.items():
            granted = [facts_pb2.Right(category=c, actions=list(actions)) for c, actions in rights.items()]
            fact = facts_pb2.PolicyChanged(
                policy_id=f"profession-{profession}", version=1, profession=profession, rights=granted
            )
            harness.facts(self.tenant, [fact])
        self.hire("secretary", SECRETARY, facility_id=self.home)
        self.hire("nurse", NURSE, facility_id=self.home)
        self.hire("nurse2", NURSE, facility_id=self.home)
        self.hire("educator", EDUCATOR, facility_id=self.home)
        self.hire("director", DIRECTOR)
        self.hire("elsewhere", SECRETARY, facility_id=self.workshop)

    def place(
        self, facility_id: str, *unit_ids: str, category: str = "437", time_zone: str = "Europe/Paris", version: int = 1
    ) -> None:
        """Tells of a facility (a FAM, unless said otherwise) and of its units."""
        facility = facts_pb2.FacilityChanged(
            facility_id=facility_id, version=version, category_code=category, time_zone=time_zone
        )
        units = [facts_pb2.UnitChanged(unit_id=unit, version=1, facility_id=facility_id) for unit in unit_ids]
        self.harness.facts(self.tenant, [facility, *units])

    def hire(
        self, subject: str, profession: int, *, facility_id: str | None = None, unit_id: str | None = None
    ) -> None:
        """Gives somebody an account and an assignment."""
        account = self.accounts.setdefault(subject, new_id())
        self.harness.facts(
            self.tenant,
            [
                facts_pb2.AccountChanged(account_id=account, version=1, subject=subject, active=True),
                facts_pb2.AssignmentChanged(
                    assignment_id=new_id(),
                    version=1,
                    account_id=account,
                    facility_id=facility_id,
                    unit_id=unit_id,
                    profession=profession,
                    valid_from=to_timestamp(self.now - timedelta(days=1)),
                ),
            ],
        )

    def call(self, operation: str, request: Message, **options: Any) -> Any:
        """A call of the association, by its director with a second factor unless told."""
        options.setdefault("as_", "director")
        options.setdefault("acr", 2)
        return self.harness.call(f"dui.records.v1.{operation}", request, tenant=self.tenant, **options)

    def person(self, **traits: Any) -> people.Beneficiary:
        """A person as a secretary types them."""
        values: dict[str, Any] = {
            "birth_name": "Durand",
            "birth_given_names": ["Camille"],
            "birth_date": "1950-03-14",
            "sex": people.SEX_FEMALE,
        } | traits
        return people.Beneficiary(**values)

    def open(self, *, as_: str = "secretary", facility_id: str | None = None, **traits: Any) -> people.Beneficiary:
        """Opens a record."""
        request = people.CreateBeneficiaryRequest(
            facility_id=facility_id or self.home, beneficiary=self.person(**traits)
        )
        reply: people.CreateBeneficiaryResponse = self.call("BeneficiaryService/CreateBeneficiary", request, as_=as_)
        return reply.beneficiary

    def read(self, beneficiary_id: str, **options: Any) -> people.Beneficiary:
        """Reads an identity."""
        request = people.GetBeneficiaryRequest(beneficiary_id=beneficiary_id)
        reply: people.GetBeneficiaryResponse = self.call("BeneficiaryService/GetBeneficiary", request, **options)
        return reply.beneficiary

    def ask(
        self,
        beneficiary_id: str,
        *,
        facility_id: str | None = None,
        modality: int = stays.STAY_MODALITY_RESIDENTIAL,
        accepted: bool = True,
        as_: str = "director",
        requested_on: date | None = None,
    ) -> stays.Admission:
        """Records a request for admission, and accepts it."""
        admission = stays.Admission(
            facility_id=facility_id or self.home,
            modality=modality,  # type: ignore[arg-type]
            requested_on=(requested_on or self.today).isoformat(),
        )
        created = self.call(
            "AdmissionService/CreateAdmission",
            stays.CreateAdmissionRequest(beneficiary_id=beneficiary_id, admission=admission),
            as_=as_,
        ).admission
        if accepted:
            request = stays.AcceptAdmissionRequest(beneficiary_id=beneficiary_id, admission_id=created.admission_id)
            created = self.call("AdmissionService/AcceptAdmission", request, as_=as_).admission
        return created  # type: ignore[no-any-return]

    def enter(
        self,
        beneficiary_id: str,
        admission_id: str,
        *,
        started_on: date | None = None,
        unit_id: str | None = None,
        as_: str = "director",
    ) -> stays.Stay:
        """Opens a stay."""
        stay = stays.Stay(admission_id=admission_id, started_on=(started_on or self.today).isoformat(), unit_id=unit_id)
        request = stays.CreateStayRequest(beneficiary_id=beneficiary_id, stay=stay)
        return self.call("StayService/CreateStay", request, as_=as_).stay  # type: ignore[no-any-return]

    def admit(self, beneficiary_id: str, **options: Any) -> stays.Stay:
        """Requests, accepts and enters at once."""
        entry = {name: options.pop(name) for name in ("started_on", "unit_id") if name in options}
        admission = self.ask(beneficiary_id, **options)
        return self.enter(beneficiary_id, admission.admission_id, **entry)

    def end(self, beneficiary_id: str, stay_id: str, reason: int, *, ended_on: date | None = None) -> stays.Stay:
        """Ends a stay."""
        request = stays.EndStayRequest(
            beneficiary_id=beneficiary_id,
            stay_id=stay_id,
            ended_on=(ended_on or self.today).isoformat(),
            exit_reason=reason,  # type: ignore[arg-type]
        )
        return self.call("StayService/EndStay", request).stay  # type: ignore[no-any-return]

    def perimeter(self, fact_id: str) -> tuple[Any, ...]:
        """admission_only, valid_from, valid_to, unit_id, version of a fact."""
        rows = self.harness.admin(
            "SELECT admission_only, valid_from, valid_to, unit_id::text, version FROM access_perimeter"
            " WHERE tenant_id = %s AND fact_id = %s",
            (self.tenant, fact_id),
        )
        return rows[0]

    def events(self, aggregate_id: str, kind: str) -> list[tuple[int, bytes]]:
        """Versions and payloads of the events of an aggregate, in order."""
        return self.harness.admin(
            "SELECT aggregate_version, payload FROM outbox WHERE tenant_id = %s AND aggregate_id = %s"
            " AND event_type LIKE '%%.' || %s ORDER BY event_id",
            (self.tenant, aggregate_id, kind),
        )

    def last_entry(self) -> JournalEntry:
        """The newest access entry of the association."""
        [(payload,)] = self.harness.admin(
            "SELECT payload FROM journal_outbox WHERE tenant_id = %s ORDER BY entry_id DESC LIMIT 1", (self.tenant,)
        )
        return JournalEntry.FromString(payload)
