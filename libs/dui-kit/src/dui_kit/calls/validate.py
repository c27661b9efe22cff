"""Requests checked by their descriptor before a method runs: required fields, formats, lengths, enums, control characters,
fields that only the platform sets. Violations are reported together, each with its field and remedy.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Any
from zoneinfo import available_timezones

from dui.options.v1 import options_pb2
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from dui_kit import identifiers
from dui_kit.calls.patch import behaviours
from dui_kit.errors import MAX_CHARACTERS, MAX_VIOLATIONS, Refusal, Violation
from dui_kit.wire import texts
from dui_kit.wire.contract import accepted_numbers, accepted_values, descriptor_of

DEFAULT_MAX_LENGTH = 200
DEFAULT_MAX_ITEMS = 100

Report = Callable[[Violation], None]
Check = Callable[[Message, str, Report], None]

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_EMAIL = re.compile(
    r"[^@\s]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+"
)
_PHONE = re.compile(r"\+[1-9]\d{6,14}|0[1-9](?:[ .-]?\d\d){4}")
_INSEE = re.compile(r"(?:\d{2}|2[AB])\d{3}")
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
# A zero in front is no number that somebody meant: "05" may be 5, or 0.5 without its point.
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,6})?")
_TIME_OF_DAY = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_INS_OIDS = frozenset(f"1.2.250.1.213.1.4.{leaf}" for leaf in (8, 9, 10, 11))
_TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_800)  # years 1 to 9999, as google.protobuf.Timestamp says

F = options_pb2.Format


def _is_date(value: str) -> bool:
    """A whole date, `YYYY-MM-DD`."""
    try:
        return len(value) == 10 and str(date.fromisoformat(value)) == value
    except ValueError:
        return False


def _is_partial_date(value: str) -> bool:
    """A date of which the day, or the day and the month, may be unknown."""
    try:
        identifiers.parse_partial_date(value)
    except ValueError:
        return False
    return True


#: Format → test, and its description in French and English.
FORMATS: dict[int, tuple[Callable[[str], object], str, str]] = {
    F.FORMAT_UUID: (_UUID.fullmatch, "un identifiant UUID en minuscules", "a UUID in lower case"),
    F.FORMAT_NIR: (
        identifiers.check_nir,
        "13 caractères et une clé de 2 chiffres juste",
        "13 characters and a right key of 2 digits",
    ),
    F.FORMAT_FINESS: (
        identifiers.check_finess,
        "un numéro FINESS de 9 caractères, chiffre de contrôle compris",
        "a FINESS number of 9 characters with a right check digit",
    ),
    F.FORMAT_RPPS: (
        identifiers.check_rpps,
        "un numéro RPPS de 11 chiffres, chiffre de contrôle compris",
        "an RPPS number of 11 digits with a right check digit",
    ),
    F.FORMAT_DATE: (_is_date, "une date AAAA-MM-JJ", "a date YYYY-MM-DD"),
    F.FORMAT_PARTIAL_DATE: (
        _is_partial_date,
        "une date AAAA, AAAA-MM ou AAAA-MM-JJ",
        "a date YYYY, YYYY-MM or YYYY-MM-DD",
    ),
    F.FORMAT_EMAIL: (_EMAIL.fullmatch, "une adresse électronique", "an e-mail address"),
    F.FORMAT_PHONE: (_PHONE.fullmatch, "un téléphone : 0612345678 ou +33612345678", "a telephone: +33612345678"),
    F.FORMAT_TIME_ZONE: (
        available_timezones().__contains__,
        "un fuseau horaire IANA, par exemple Europe/Paris",
        "an IANA time zone, for example Europe/Paris",
    ),
    F.FORMAT_INSEE_CODE: (_INSEE.fullmatch, "un code INSEE de 5 caractères", "an INSEE code of 5 characters"),
    F.FORMAT_INS_OID: (
        _INS_OIDS.__contains__,
        "un OID d'INS : 1.2.250.1.213.1.4.8, .9, .10 ou .11",
        "an OID of INS: 1.2.250.1.213.1.4.8, .9, .10 or .11",
    ),
    F.FORMAT_SLUG: (
        _SLUG.fullmatch,
        "des lettres minuscules, des chiffres et des traits d'union",
        "lower-case letters, digits and hyphens",
    ),
    F.FORMAT_SIREN: (
        identifiers.check_siren,
        "un SIREN (9) ou SIRET (14 chiffres)",
        "a SIREN (9) or SIRET (14 digits)",
    ),
    F.FORMAT_CIS: (identifiers.check_cis, "un code CIS de 8 chiffres", "a CIS code of 8 digits"),
    F.FORMAT_CIP13: (
        identifiers.check_cip13,
        "un code CIP13 : 13 chiffres, clé comprise, à partir de 3400",
        "a CIP13 code: 13 digits with a right key, beginning with 3400",
    ),
    F.FORMAT_DECIMAL: (
        _DECIMAL.fullmatch,
        (
            "un nombre écrit avec un point et non une virgule, par exemple 0.5 : au plus 9 chiffres avant le point et 6 après, "
            "sans signe, sans exposant et sans zéro inutile devant"
        ),
        (
            "a number written with a point and no comma, for example 0.5: at most 9 digits before the point and 6 after it, "
            "no sign, no exponent and no needless zero in front"
        ),
    ),
    F.FORMAT_TIME_OF_DAY: (
        _TIME_OF_DAY.fullmatch,
        "une heure HH:MM, de 00:00 à 23:59",
        "a time of the day HH:MM, 00:00 to 23:59",
    ),
}


class _Enough(Exception):
    """There is enough to tell."""


def _run(checks: list[Check], message: Message, path: str) -> None:
    """Raises the Refusal that names what is wrong, if something is: as many faults as can travel."""
    violations: list[Violation] = []
    characters = 0

    def report(found: Violation) -> None:
        nonlocal characters
        violations.append(found)
        characters += len(found.text("fr"))
        if len(violations) == MAX_VIOLATIONS or characters > MAX_CHARACTERS:
            raise _Enough

    with contextlib.suppress(_Enough):
        for check in checks:
            check(message, path, report)
    if violations:
        raise Refusal.of(tuple(violations))


class Validator:
    """Checks compiled once for each message type."""

    def __init__(self) -> None:
        """Nothing is compiled yet."""
        self._compiled: dict[tuple[str, bool], list[Check]] = {}

    def check(self, request: Message) -> None:
        """Refuses a request that its contract refuses, with the first violations of it."""
        _run(self._checks(descriptor_of(request), partial=False), request, "")

    def check_entry(self, entry: Message, prefix: str) -> None:
        """Refuses a whole entry after a patch, when a required field of it is missing."""
        _run(self._checks(descriptor_of(entry), partial=False, stored=True), entry, f"{prefix}.")

    def _checks(self, descriptor: Descriptor, *, partial: bool, stored: bool = False) -> list[Check]:
        key = (descriptor.full_name, partial) if not stored else (f"stored {descriptor.full_name}", partial)
        found = self._compiled.get(key)
        if found is None:
            found = self._compiled[key] = []
            patches = "update_mask" in descriptor.fields_by_name
            for field in descriptor.fields:
                found.extend(self._field(field, partial=partial, patched=patches, stored=stored))
        return found

    def _field(self, field: FieldDescriptor, *, partial: bool, patched: bool, stored: bool) -> list[Check]:
        kinds = behaviours(field)
        if field_behavior_pb2.OUTPUT_ONLY in kinds:
            return [] if stored else [_read_only(field)]
        checks: list[Check] = []
        if field_behavior_pb2.REQUIRED in kinds and not partial:
            checks.append(_required(field))
        options = field.GetOptions().Extensions
        if field.is_repeated:
            checks.append(_items(field, options[options_pb2.max_items] or DEFAULT_MAX_ITEMS))
        if field.type == FieldDescriptor.TYPE_STRING:
            limit = options[options_pb2.max_length] or DEFAULT_MAX_LENGTH
            checks.append(_text(field, limit, options[options_pb2.format]))
        elif field.enum_type is not None:
            checks.append(_enum(field))
        elif field.message_type is not None:
            inherited = partial and not field.is_repeated  # an item of a list is always whole
            checks.append(self._message(field, field.message_type, partial=patched or inherited, stored=stored))
        return checks

    def _message(self, field: FieldDescriptor, kind: Descriptor, *, partial: bool, stored: bool) -> Check:
        name = field.name
        if kind.full_name == "google.protobuf.Timestamp":
            return _timestamp(name)
        if kind.full_name == "google.protobuf.FieldMask":
            return lambda _message, _path, _report: None

        def check(message: Message, path: str, report: Report) -> None:
            if field.is_repeated:
                entries = [(entry, f"{path}{name}[{n}].") for n, entry in enumerate(getattr(message, name))]
            elif message.HasField(name):
                entries = [(getattr(message, name), f"{path}{name}.")]
            else:
                return
            for entry, below in entries:
                for inner in self._checks(kind, partial=partial, stored=stored):
                    inner(entry, below, report)

        return check


def _is_set(field: FieldDescriptor) -> Callable[[Any], bool]:
    name = field.name
    if field.has_presence:
        return lambda message: bool(message.HasField(name))
    return lambda message: bool(getattr(message, name))


def _read_only(field: FieldDescriptor) -> Check:
    is_set, name = _is_set(field), field.name

    def check(message: Message, path: str, report: Report) -> None:
        if is_set(message):
            report(Violation(texts.FIELD_READ_ONLY, path + name))

    return check


def _invisible(text: str) -> bool:
    """Whether nothing of a text can be seen: spaces, or characters that only join and turn others."""
    if text.isascii():
        return not text.strip()
    return all(letter.isspace() or unicodedata.category(letter) == "Cf" for letter in text)


def _required(field: FieldDescriptor) -> Check:
    is_set, name = _is_set(field), field.name
    blank = field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated

    def check(message: Message, path: str, report: Report) -> None:
        if not is_set(message) or (blank and _invisible(getattr(message, name))):
            report(Violation(texts.FIELD_REQUIRED, path + name))

    return check


def _items(field: FieldDescriptor, limit: int) -> Check:
    name = field.name

    def check(message: Message, path: str, report: Report) -> None:
        if len(getattr(message, name)) > limit:
            report(Violation(texts.LIST_TOO_LONG, path + name, (("limit", limit),)))
            raise _Enough  # its items are not looked at

    return check


def _text(field: FieldDescriptor, limit: int, form: int) -> Check:
    name, repeated = field.name, field.is_repeated
    test, french, english = FORMATS[form] if form else (None, "", "")
    wrong = Violation(texts.FORMAT_INVALID, "", (("fr", french), ("en", english)))

    def one(value: str, path: str, report: Report) -> None:
        if len(value) > limit:
            report(Violation(texts.FIELD_TOO_LONG, path, (("limit", limit),)))
        elif _CONTROL.search(value):
            report(Violation(texts.TEXT_CONTROL_CHARACTER, path))
        elif test is not None and not test(value):
            report(Violation(wrong.reason, path, wrong.params))

    def check(message: Message, path: str, report: Report) -> None:
        value = getattr(message, name)
        if repeated:
            for index, item in enumerate(value):
                if not item.strip():
                    report(Violation(texts.FIELD_REQUIRED, f"{path}{name}[{index}]"))
                one(item, f"{path}{name}[{index}]", report)
        elif value:
            one(value, path + name, report)
        elif field.has_presence and message.HasField(name):
            report(Violation(texts.FIELD_REQUIRED, path + name))

    return check


def _enum(field: FieldDescriptor) -> Check:
    name, repeated, known = field.name, field.is_repeated, frozenset((0, *accepted_numbers(field)))
    accepted = (("values", accepted_values(field)),)

    def check(message: Message, path: str, report: Report) -> None:
        values = getattr(message, name) if repeated else (getattr(message, name),)
        if not known.issuperset(values):
            report(Violation(texts.ENUM_UNKNOWN, path + name, accepted))

    return check


def _timestamp(name: str) -> Check:
    wrong = Violation(
        texts.FORMAT_INVALID,
        "",
        (("fr", "un instant RFC 3339, par exemple 2026-01-28T08:00:00Z"), ("en", "an RFC 3339 instant")),
    )

    def check(message: Message, path: str, report: Report) -> None:
        if message.HasField(name):
            value = getattr(message, name)
            if value.seconds not in _TIMESTAMP_SECONDS or not 0 <= value.nanos < 1_000_000_000:
                report(Violation(wrong.reason, path + name, wrong.params))

    return check
