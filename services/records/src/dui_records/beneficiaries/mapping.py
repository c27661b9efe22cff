"""Between messages, rules and rows of an identity."""

from __future__ import annotations

from collections.abc import Sequence

from dui.records.v1 import beneficiaries_pb2 as pb
from dui_kit.calls.stamps import stamp_version
from dui_kit.days import parse_day
from dui_kit.db.columns import AnyRow

from dui_records.beneficiaries.rules import Identity, IdentityStatus, NationalIdentifier, StrictTraits, tidy_name
from dui_records.recognition.rules import NameKeys, name_keys


def _optional_name(message: pb.Beneficiary, name: str) -> str | None:
    return tidy_name(getattr(message, name)) or None


def identity_of(message: pb.Beneficiary) -> Identity:
    """The identity that a caller tells; its status is not theirs to tell."""
    return Identity(
        traits=StrictTraits(
            birth_name=tidy_name(message.birth_name),
            birth_given_names=tuple(tidy_name(name) for name in message.birth_given_names),
            birth_date=message.birth_date,
            sex=message.sex,
            birth_place_code=message.birth_place_code or None,
        ),
        used_name=_optional_name(message, "used_name"),
        used_given_name=_optional_name(message, "used_given_name"),
        national_identifier=NationalIdentifier(message.national_identifier.value, message.national_identifier.oid)
        if message.HasField("national_identifier")
        else None,
        doubtful=message.doubtful,
        fictitious=message.fictitious,
        died_on=parse_day(message.died_on),
        reason=message.reason.strip() or None,
    )


def identity_of_row(row: AnyRow) -> Identity:
    """The identity that a row holds."""
    return Identity(
        traits=StrictTraits(
            row.birth_name, tuple(row.birth_given_names), row.birth_date, row.sex, row.birth_place_code
        ),
        used_name=row.used_name,
        used_given_name=row.used_given_name,
        national_identifier=NationalIdentifier(row.national_identifier, row.national_identifier_oid)
        if row.national_identifier is not None
        else None,
        status=IdentityStatus(row.identity_status),
        doubtful=row.doubtful,
        fictitious=row.fictitious,
        died_on=row.died_on,
        reason=row.reason,
        insi_answer_id=row.insi_answer_id,
    )


def keys_of(identity: Identity) -> NameKeys:
    """What the record is sorted, searched and compared by."""
    traits = identity.traits
    return name_keys(traits.birth_name, traits.birth_given_names[0], identity.used_name, identity.used_given_name)


def values_of(identity: Identity, keys: NameKeys) -> dict[str, object]:
    """The columns of an identity and of its keys."""
    traits, identifier = identity.traits, identity.national_identifier
    return {
        "birth_name": traits.birth_name,
        "birth_given_names": list(traits.birth_given_names),
        "birth_date": traits.birth_date,
        "sex": traits.sex,
        "birth_place_code": traits.birth_place_code,
        "used_name": identity.used_name,
        "used_given_name": identity.used_given_name,
        "national_identifier": identifier.value if identifier else None,
        "national_identifier_oid": identifier.oid if identifier else None,
        "identity_status": int(identity.status),
        "insi_answer_id": identity.insi_answer_id,
        "doubtful": identity.doubtful,
        "fictitious": identity.fictitious,
        "died_on": identity.died_on,
        "reason": identity.reason,
        "birth_name_key": keys.birth_name_key,
        "birth_given_key": keys.birth_given_key,
        "birth_name_sound": keys.birth_name_sound,
        "family_key": keys.family_key,
        "given_key": keys.given_key,
        "family_sound": keys.family_sound,
        "homonym_key": keys.homonym_key,
    }


def to_proto(row: AnyRow) -> pb.Beneficiary:
    """The version that a row holds, as it goes to the history: without what depends on other records."""
    message = pb.Beneficiary(
        beneficiary_id=row.beneficiary_id,
        birth_name=row.birth_name,
        birth_given_names=row.birth_given_names,
        birth_date=row.birth_date,
        sex=row.sex,
        birth_place_code=row.birth_place_code,
        used_name=row.used_name,
        used_given_name=row.used_given_name,
        identity_status=row.identity_status,
        doubtful=row.doubtful,
        fictitious=row.fictitious,
        died_on=row.died_on.isoformat() if row.died_on else None,
        reason=row.reason,
    )
    stamp_version(message.version, row)
    if row.national_identifier is not None:
        message.national_identifier.value = row.national_identifier
        message.national_identifier.oid = row.national_identifier_oid
    return message


def to_match(row: AnyRow) -> pb.BeneficiaryMatch:
    """A person found: just enough to know whether it is the right one."""
    return pb.BeneficiaryMatch(
        beneficiary_id=row.beneficiary_id,
        birth_name=row.birth_name,
        birth_given_name=row.birth_given_names[0],
        birth_date=row.birth_date,
        sex=row.sex,
        identity_status=row.identity_status,
    )


def completed(message: pb.Beneficiary, *, homonym: bool, merged_ids: Sequence[str], etag: str) -> pb.Beneficiary:
    """The version with what depends on other records."""
    message.homonym = homonym
    message.merged_beneficiary_ids.extend(merged_ids)
    message.etag = etag
    return message
