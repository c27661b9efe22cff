"""The small parts of the kit that hold a law: pages, patches, instants, languages, rules of the contract."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from dui.access.v1 import facts_pb2
from dui.identity.v1 import professions_pb2, staff_pb2
from dui.options.v1 import options_pb2
from dui.records.v1 import allergies_pb2, beneficiaries_pb2
from dui_kit.calls.access import decision
from dui_kit.calls.pages import Page, page_of
from dui_kit.calls.patch import apply_mask
from dui_kit.calls.seals import Seals
from dui_kit.calls.validate import Validator
from dui_kit.calls.visibility import Place
from dui_kit.errors import MAX_VIOLATIONS, Code, Reason, Refusal, Violation
from dui_kit.facts import FACTS, message_of
from dui_kit.times import from_micros, from_timestamp, micros, to_timestamp
from dui_kit.wire.contract import NAMED_VALUES, READING, accepted_values, descriptor_of, event_of, label_fr, rule_of
from dui_kit.wire.status import language_of, status_of
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.tuples(st.one_of(st.text(max_size=40), st.integers(-(2**53), 2**53), st.none()))
INSTANTS = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
SEALS = Seals("ab" * 32)


def ask(token: str = "", *, seals: Seals = SEALS, subject: str = "s", size: int = 1) -> Page:
    request = beneficiaries_pb2.SearchBeneficiariesRequest(page_size=size, page_token=token)
    return page_of(request, seals, tenant_id="t", subject=subject, operation="o")


@given(KEYS, st.text(min_size=1, max_size=20))
def test_a_page_token_gives_back_its_key_in_its_own_context_only(key: tuple[str | int | None, ...], other: str) -> None:
    _, token = ask().cut(["first", "second"], key=lambda _: key)
    assert ask(token).after == key
    with pytest.raises(Refusal, match="PAGE_TOKEN_INVALID"):
        ask(token, subject=f"s{other}")
    with pytest.raises(Refusal, match="PAGE_TOKEN_INVALID"):
        ask(token, seals=Seals("cd" * 32))


@given(st.text(min_size=1, max_size=80))
def test_any_other_text_is_no_page_token(text: str) -> None:
    with pytest.raises(Refusal, match="PAGE_TOKEN_INVALID"):
        ask(text)


@pytest.mark.parametrize("size", [-1, 201])
def test_a_page_is_bounded(size: int) -> None:
    with pytest.raises(Refusal, match="PAGE_SIZE_INVALID"):
        ask(size=size)


def test_what_another_key_or_context_sealed_cannot_be_opened_and_does_not_stop_who_can_ask_again() -> None:
    sealed = SEALS.seal(b"kept", b"context")
    assert SEALS.opened(sealed, b"context") == b"kept"
    assert SEALS.opened(sealed, b"another") is None
    assert Seals("cd" * 32).opened(sealed, b"context") is None
    assert SEALS.opened(b"", b"context") is None


@pytest.mark.parametrize("key", ["", "ab", "zz" * 32])
def test_a_wrong_key_of_seals_stops_the_start(key: str) -> None:
    with pytest.raises(ValueError, match=r"hex"):
        Seals(key)


@given(INSTANTS)
def test_instants_survive_protobuf_and_page_tokens(instant: datetime) -> None:
    assert from_timestamp(to_timestamp(instant)) == instant
    assert from_micros(micros(instant)) == instant


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "fr"),
        ("en", "en"),
        ("fr-FR,en;q=0.8", "fr"),
        ("de, en;q=0.7, fr;q=0.3", "en"),
        ("es", "fr"),
        ("en;q=x, fr", "fr"),
    ],
)
def test_french_unless_english_comes_first(header: str, language: str) -> None:
    assert language_of(header) == language


def _allergy() -> allergies_pb2.Allergy:
    return allergies_pb2.Allergy(kind=allergies_pb2.ALLERGY_KIND_FOOD, substance="lait", reaction="urticaire")


def test_a_patch_changes_what_its_mask_names_and_clears_what_it_leaves_out() -> None:
    patch = allergies_pb2.Allergy(substance="soja")
    changed = apply_mask(_allergy(), patch, FieldMask(paths=["substance", "reaction"]), prefix="allergy")
    assert changed == allergies_pb2.Allergy(kind=allergies_pb2.ALLERGY_KIND_FOOD, substance="soja")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("allergy_id", "FIELD_READ_ONLY"), ("nothing", "FIELD_UNKNOWN"), ("substance.length", "FIELD_UNKNOWN")],
)
def test_a_patch_of_what_cannot_change_is_refused(path: str, reason: str) -> None:
    with pytest.raises(Refusal, match=reason) as refusal:
        apply_mask(_allergy(), allergies_pb2.Allergy(), FieldMask(paths=[path]), prefix="allergy")
    assert refusal.value.violations[0].field == f"allergy.{path}"


def test_an_empty_patch_is_refused() -> None:
    with pytest.raises(Refusal, match="FIELD_REQUIRED"):
        apply_mask(_allergy(), allergies_pb2.Allergy(), FieldMask(), prefix="allergy")


def test_a_patch_reaches_inside_a_message_and_sets_and_clears_whole_ones() -> None:
    person = beneficiaries_pb2.Beneficiary(birth_given_names=["Anne"])
    person.national_identifier.value = "1"
    patch = beneficiaries_pb2.Beneficiary(birth_given_names=["Jeanne", "Marie"])
    patch.national_identifier.oid = "2"
    mask = FieldMask(paths=["national_identifier.oid", "birth_given_names"])
    changed = apply_mask(person, patch, mask, prefix="beneficiary")
    assert (changed.national_identifier.value, changed.national_identifier.oid) == ("1", "2")
    assert list(changed.birth_given_names) == ["Jeanne", "Marie"]
    whole = apply_mask(person, patch, FieldMask(paths=["national_identifier"]), prefix="beneficiary")
    assert whole.national_identifier.value == ""
    cleared = apply_mask(person, beneficiaries_pb2.Beneficiary(), FieldMask(paths=["national_identifier"]), prefix="b")
    assert not cleared.HasField("national_identifier")


def test_a_stored_entry_that_lost_a_required_field_is_refused() -> None:
    with pytest.raises(Refusal) as refusal:
        Validator().check_entry(
            allergies_pb2.Allergy(allergy_id="kept", kind=allergies_pb2.ALLERGY_KIND_FOOD), "allergy"
        )
    assert [violation.field for violation in refusal.value.violations] == ["allergy.substance"]


def test_every_violation_is_told_at_once() -> None:
    request = beneficiaries_pb2.CreateBeneficiaryRequest(facility_id="x")
    request.beneficiary.birth_date = "1980-02-30"
    request.beneficiary.national_identifier.value = "12"
    with pytest.raises(Refusal) as refusal:
        Validator().check(request)
    assert {violation.field for violation in refusal.value.violations} >= {
        "facility_id",
        "beneficiary.birth_name",
        "beneficiary.birth_given_names",
        "beneficiary.birth_date",
        "beneficiary.sex",
        "beneficiary.national_identifier.value",
        "beneficiary.national_identifier.oid",
    }


def test_a_patch_body_may_leave_required_fields_out() -> None:
    request = allergies_pb2.UpdateAllergyRequest(
        beneficiary_id="01900000-0000-7000-8000-000000000000",
        allergy_id="01900000-0000-7000-8000-000000000000",
        allergy=allergies_pb2.Allergy(reaction="toux"),
        update_mask=FieldMask(paths=["reaction"]),
    )
    Validator().check(request)


def test_a_message_that_is_no_event_has_no_subject() -> None:
    with pytest.raises(ValueError, match="cannot be published"):
        event_of(descriptor_of(_allergy()))


def test_the_rule_of_a_method_says_who_what_and_where() -> None:
    service = beneficiaries_pb2.DESCRIPTOR.services_by_name["BeneficiaryService"]
    rule = rule_of(service.methods_by_name["GetBeneficiary"])
    assert (rule.category, rule.action, rule.perimeter) == (
        options_pb2.CATEGORY_IDENTITY,
        options_pb2.ACTION_READ,
        options_pb2.PERIMETER_BENEFICIARY,
    )
    assert rule.reads
    assert rule.beneficiary_path == ("beneficiary_id",)


C, A = options_pb2.Category, options_pb2.Action
DOCTOR = 4


def rights_of_a_doctor() -> list[int]:
    """The rights of a doctor as the projection of the policy holds them."""
    medication = facts_pb2.Right(
        category=C.CATEGORY_MEDICATION, actions=[A.ACTION_READ, A.ACTION_WRITE, A.ACTION_PRESCRIBE, A.ACTION_VALIDATE]
    )
    policy = facts_pb2.PolicyChanged(policy_id="profession-4", version=1, profession=DOCTOR, rights=[medication])
    fact = FACTS["dui.access.v1.PolicyChanged"]
    rights = fact.writes["rights"](policy)
    assert message_of(fact, SimpleNamespace(profession=DOCTOR, version=1, rights=rights)) == policy
    assert isinstance(rights, list)
    return rights


def test_every_action_of_the_contract_has_its_bit_in_the_policy_of_the_projections() -> None:
    # Bit n is action n; a smallint of PostgreSQL is signed and holds the bits 0 to 14.
    assert rights_of_a_doctor()[C.CATEGORY_MEDICATION - 1] == 0b1_1000_0110
    assert max(A.values()) <= 14


def test_to_prescribe_and_to_validate_are_changes_and_not_readings() -> None:
    assert {A.ACTION_READ, A.ACTION_SEARCH} == READING


def test_a_doctor_who_opened_a_record_in_an_emergency_may_prescribe_there_and_not_administer_rights() -> None:
    # A doctor of another place: no assignment reaches the person, the emergency opening does.
    row = (True, "account", True, None, None, DOCTOR, rights_of_a_doctor(), None, ["person"])
    shut, open_ = decision([(*row, False)]), decision([(*row, True)])
    assert shut.categories(A.ACTION_PRESCRIBE) == frozenset()
    assert open_.categories(A.ACTION_PRESCRIBE) == {C.CATEGORY_MEDICATION}
    assert open_.categories(A.ACTION_ADMINISTER) == frozenset()


def test_an_unknown_value_is_told_with_those_that_are_known_but_not_with_all_of_a_long_list() -> None:
    sex = beneficiaries_pb2.Beneficiary.DESCRIPTOR.fields_by_name["sex"]
    assert accepted_values(sex) == "SEX_FEMALE, SEX_MALE, SEX_INDETERMINATE"
    named = accepted_values(staff_pb2.Professional.DESCRIPTOR.fields_by_name["profession"]).split(", ")
    assert len(professions_pb2.Profession.values()) > NAMED_VALUES + 1
    assert (len(named), named[-1]) == (NAMED_VALUES + 1, "…")


def test_a_refusal_with_long_texts_can_travel() -> None:
    # A message of a contract to come: a list of entries, each with a value out of a long list.
    file = FileDescriptorProto(
        name="round.proto", package="test", syntax="proto3", dependency=[professions_pb2.DESCRIPTOR.name]
    )
    entry, request = file.message_type.add(name="Entry"), file.message_type.add(name="Request")
    enum = FieldDescriptorProto.TYPE_ENUM
    entry.field.add(name="profession", number=1, label=1, type=enum, type_name=".dui.identity.v1.Profession")
    listed = FieldDescriptorProto.TYPE_MESSAGE
    request.field.add(name="entries", number=1, label=3, type=listed, type_name=".test.Entry")
    pool = DescriptorPool()
    for known in (descriptor_pb2.DESCRIPTOR, options_pb2.DESCRIPTOR, professions_pb2.DESCRIPTOR):
        pool.AddSerializedFile(known.serialized_pb)
    pool.Add(file)
    message = GetMessageClass(pool.FindMessageTypeByName("test.Request"))()
    for _ in range(100):
        message.entries.add(profession=999)
    with pytest.raises(Refusal) as refused:
        Validator().check(message)
    assert len(refused.value.violations) > 1
    assert len(status_of(refused.value, "fr").SerializeToString()) < 6_000


def test_a_refusal_names_so_many_faults_that_it_can_travel() -> None:
    request = beneficiaries_pb2.CreateBeneficiaryRequest()
    request.beneficiary.birth_given_names.extend([""] * 100_000)
    with pytest.raises(Refusal) as refused:
        Validator().check(request)
    assert 0 < len(refused.value.violations) <= MAX_VIOLATIONS
    # gRPC refuses more than 8 kB of metadata.
    assert len(status_of(refused.value, "fr").SerializeToString()) < 6_000


def test_a_refusal_of_rules_with_many_faults_travels_with_as_many_as_fit() -> None:
    """What a method found is not cut where it is found: a check shows all of it."""
    long = Reason("UNIT_UNKNOWN", Code.INVALID_ARGUMENT, fr="é" * 900, en="e" * 900)
    short = Reason("TOO_MANY", Code.INVALID_ARGUMENT, fr="é" * 20, en="e" * 20)
    for reason, fitting in ((long, 2), (short, MAX_VIOLATIONS)):
        refusal = Refusal.of(tuple(Violation(reason, f"prescription.orders[{n}].unit") for n in range(200)))
        status = status_of(refusal, "fr")
        bad = error_details_pb2.BadRequest()
        assert any(detail.Unpack(bad) for detail in status.details)
        assert len(bad.field_violations) == fitting
        assert len(status.SerializeToString()) < 6_000


WHOLE, EHPAD, NORTH, SOUTH, FOYER = (
    Place(None),
    Place("ehpad"),
    Place("ehpad", "north"),
    Place("ehpad", "south"),
    Place("foyer"),
)


@pytest.mark.parametrize(
    ("place", "covered"),
    [
        (WHOLE, {WHOLE, EHPAD, NORTH, SOUTH, FOYER}),
        (EHPAD, {EHPAD, NORTH, SOUTH}),
        (NORTH, {NORTH}),
        (FOYER, {FOYER}),
    ],
)
def test_an_assignment_covers_what_lies_wholly_in_its_place(place: Place, covered: set[Place]) -> None:
    assert {other for other in (WHOLE, EHPAD, NORTH, SOUTH, FOYER) if place.covers(other)} == covered


def test_a_french_reader_sees_the_label_of_a_value_and_nothing_for_what_is_not_told() -> None:
    kind = options_pb2.DESCRIPTOR.enum_types_by_name["Category"]
    told = {number: label_fr(kind, number) for number in (0, options_pb2.CATEGORY_SOCIAL, 9999)}
    assert told == {0: "", options_pb2.CATEGORY_SOCIAL: "Social", 9999: ""}
