"""The small parts of the kit that hold a law: pages, patches, instants, languages, rules of the contract."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from dui.options.v1 import options_pb2
from dui.records.v1 import allergies_pb2, beneficiaries_pb2
from dui_kit.contract import descriptor_of, event_of, rule_of
from dui_kit.errors import Refusal
from dui_kit.pages import PageTokens, page_of
from dui_kit.patch import apply_mask
from dui_kit.status import language_of, status_of
from dui_kit.times import from_micros, from_timestamp, micros, to_timestamp
from dui_kit.validate import MAX_VIOLATIONS, Validator
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.tuples(st.one_of(st.text(max_size=40), st.integers(-(2**53), 2**53), st.none()))
INSTANTS = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TOKENS = PageTokens("ab" * 32)


@given(KEYS, st.binary(max_size=20))
def test_a_page_token_gives_back_its_key_in_its_own_context_only(
    key: tuple[str | int | None, ...], context: bytes
) -> None:
    token = TOKENS.seal(key, context)
    assert TOKENS.open(token, context) == key
    with pytest.raises(Refusal, match="PAGE_TOKEN_INVALID"):
        TOKENS.open(token, context + b"x")
    with pytest.raises(Refusal, match="PAGE_TOKEN_INVALID"):
        PageTokens("cd" * 32).open(token, context)


@given(st.text(max_size=80))
def test_any_other_text_is_no_page_token(text: str) -> None:
    with pytest.raises(Refusal, match="PAGE_TOKEN_INVALID"):
        TOKENS.open(text, b"")


@pytest.mark.parametrize("size", [-1, 201])
def test_a_page_is_bounded(size: int) -> None:
    request = beneficiaries_pb2.SearchBeneficiariesRequest(page_size=size)
    with pytest.raises(Refusal, match="PAGE_SIZE_INVALID"):
        page_of(request, TOKENS, tenant_id="t", subject="s", operation="o")


@pytest.mark.parametrize("key", ["", "ab", "zz" * 32])
def test_a_wrong_key_of_page_tokens_stops_the_start(key: str) -> None:
    with pytest.raises(ValueError, match=r"hex"):
        PageTokens(key)


@given(INSTANTS)
def test_instants_survive_protobuf_and_cursors(instant: datetime) -> None:
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


def test_a_refusal_names_so_many_faults_that_it_can_travel() -> None:
    request = beneficiaries_pb2.CreateBeneficiaryRequest()
    request.beneficiary.birth_given_names.extend([""] * 100_000)
    with pytest.raises(Refusal) as refused:
        Validator().check(request)
    assert 0 < len(refused.value.violations) <= MAX_VIOLATIONS
    # gRPC refuses more than 8 kB of metadata.
    assert len(status_of(refused.value, "fr").SerializeToString()) < 6_000
