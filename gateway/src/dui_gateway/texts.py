"""What the gateway itself says when it refuses: stable reasons and texts that name the remedy."""

from __future__ import annotations

from collections.abc import Mapping

from dui_kit.errors import Code, Reason
from dui_kit.wire.texts import (
    ENUM_UNKNOWN,
    FIELD_READ_ONLY,
    FIELD_UNKNOWN,
    INTERNAL,
    SERVICE_ONLY,
    TEXT_CONTROL_CHARACTER,
    TOKEN_MISSING,
    TOKEN_REFUSED,
)

__all__ = [
    "ENUM_UNKNOWN",
    "FIELD_READ_ONLY",
    "FIELD_UNKNOWN",
    "INTERNAL",
    "SERVICE_ONLY",
    "TEXT_CONTROL_CHARACTER",
    "TOKEN_MISSING",
    "TOKEN_REFUSED",
]

#: What `WRONG_TYPE` says of the type that was expected.
TYPES: Mapping[str, Mapping[str, str]] = {
    "object": {"fr": "un objet", "en": "an object"},
    "list": {"fr": "une liste", "en": "a list"},
    "text": {"fr": "un texte entre guillemets", "en": "a text in quotes"},
    "boolean": {"fr": "true ou false", "en": "true or false"},
    "integer": {"fr": "un nombre entier", "en": "a whole number"},
}

WRONG_TYPE = Reason("WRONG_TYPE", Code.INVALID_ARGUMENT, fr="Attendu : {fr}.", en="Expected: {en}.")
NULL_REFUSED = Reason(
    "NULL_REFUSED",
    Code.INVALID_ARGUMENT,
    fr="null n'est pas une valeur : retirez le champ pour ne pas le donner.",
    en="null is not a value: leave the field out.",
)
TIMESTAMP_INVALID = Reason(
    "TIMESTAMP_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Attendu : un instant RFC 3339 avec son fuseau, par exemple 2026-05-04T08:30:00Z.",
    en="Expected: an RFC 3339 instant with its zone, for example 2026-05-04T08:30:00Z.",
)
ONE_OF = Reason(
    "ONE_OF",
    Code.INVALID_ARGUMENT,
    fr="Un seul de ces champs peut être donné : {names}.",
    en="Only one of these fields may be given: {names}.",
)
PARAMETER_UNKNOWN = Reason(
    "PARAMETER_UNKNOWN",
    Code.INVALID_ARGUMENT,
    fr="Paramètre inconnu pour cette opération : retirez-le ou vérifiez son nom.",
    en="Unknown parameter for this operation: remove it or check its name.",
)
PARAMETER_REPEATED = Reason(
    "PARAMETER_REPEATED",
    Code.INVALID_ARGUMENT,
    fr="Ce paramètre ne peut être donné qu'une fois.",
    en="This parameter may be given only once.",
)
REQUEST_INVALID = Reason(
    "REQUEST_INVALID",
    Code.INVALID_ARGUMENT,
    fr="La demande n'est pas valable : corrigez les champs indiqués.",
    en="The request is not valid: correct the fields named.",
)
BODY_REQUIRED = Reason(
    "BODY_REQUIRED",
    Code.INVALID_ARGUMENT,
    fr="Cette opération attend un corps JSON (un objet).",
    en="This operation expects a JSON body (an object).",
)
JSON_INVALID = Reason(
    "JSON_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Le corps n'est pas du JSON valable en UTF-8.",
    en="The body is not valid JSON in UTF-8.",
)
DUPLICATE_KEY = Reason(
    "DUPLICATE_KEY",
    Code.INVALID_ARGUMENT,
    fr="Cette clé figure deux fois dans le même objet JSON : rien n'a été enregistré, envoyez-la une seule fois.",
    en="This key stands twice in the same JSON object: nothing was recorded, send it once.",
)
JSON_TOO_DEEP = Reason(
    "JSON_TOO_DEEP",
    Code.INVALID_ARGUMENT,
    fr="Le corps JSON a trop de niveaux : {limit} au plus.",
    en="The JSON body has too many levels: at most {limit}.",
)
BAD_REQUEST = Reason(
    "BAD_REQUEST",
    Code.INVALID_ARGUMENT,
    fr="La demande HTTP n'est pas valable.",
    en="The HTTP request is not valid.",
)
IF_MATCH_INVALID = Reason(
    "IF_MATCH_INVALID",
    Code.INVALID_ARGUMENT,
    fr="If-Match attend un seul etag, tel que lu dans l'en-tête ETag ou le champ etag.",
    en="If-Match expects one etag, as read in the ETag header or the field etag.",
)
RATE_LIMITED = Reason(
    "RATE_LIMITED",
    Code.RESOURCE_EXHAUSTED,
    fr="Trop de demandes en peu de temps : attendez avant de réessayer.",
    en="Too many requests in a short time: wait before trying again.",
)
TOO_MANY_AT_ONCE = Reason(
    "TOO_MANY_AT_ONCE",
    Code.RESOURCE_EXHAUSTED,
    fr="Trop de demandes en même temps : attendez la réponse des précédentes.",
    en="Too many requests at the same time: wait for the earlier ones to be answered.",
)
ROUTE_UNKNOWN = Reason(
    "ROUTE_UNKNOWN",
    Code.NOT_FOUND,
    fr="Cette adresse n'existe pas : consultez /docs.",
    en="This address does not exist: see /docs.",
)
METHOD_NOT_ALLOWED = Reason(
    "METHOD_NOT_ALLOWED",
    Code.INVALID_ARGUMENT,
    fr="Cette adresse n'accepte pas cette méthode HTTP : voyez l'en-tête Allow.",
    en="This address does not take this HTTP method: see the Allow header.",
)
BODY_TOO_LARGE = Reason(
    "BODY_TOO_LARGE",
    Code.INVALID_ARGUMENT,
    fr="Le corps de la demande dépasse la taille acceptée.",
    en="The request body is larger than what is accepted.",
)
BODY_INCOMPLETE = Reason(
    "BODY_INCOMPLETE",
    Code.INVALID_ARGUMENT,
    fr="Le corps annoncé n'est pas arrivé en entier, rien n'a été fait : renvoyez la demande.",
    en="The body that was announced did not arrive whole, nothing was done: send the request again.",
)
MEDIA_TYPE_UNSUPPORTED = Reason(
    "MEDIA_TYPE_UNSUPPORTED",
    Code.INVALID_ARGUMENT,
    fr="Envoyez le corps en JSON (Content-Type: application/json).",
    en="Send the body as JSON (Content-Type: application/json).",
)
CONTENT_ENCODING_UNSUPPORTED = Reason(
    "CONTENT_ENCODING_UNSUPPORTED",
    Code.INVALID_ARGUMENT,
    fr="Envoyez le corps sans le compresser (sans Content-Encoding).",
    en="Send the body uncompressed (without Content-Encoding).",
)
SERVICE_UNAVAILABLE = Reason(
    "SERVICE_UNAVAILABLE",
    Code.UNAVAILABLE,
    fr="Le service ne répond pas pour le moment : réessayez, avec la même Idempotency-Key s'il s'agit d'une écriture.",
    en="The service does not answer for the moment: try again, with the same Idempotency-Key if it is a write.",
)
OUTCOME_UNKNOWN = Reason(
    "OUTCOME_UNKNOWN",
    Code.DEADLINE_EXCEEDED,
    fr="Délai dépassé, issue inconnue : réessayez avec la même Idempotency-Key, rien ne sera fait deux fois.",
    en="Deadline passed, outcome unknown: try again with the same Idempotency-Key, nothing will be done twice.",
)
READ_TIMED_OUT = Reason(
    "READ_TIMED_OUT",
    Code.DEADLINE_EXCEEDED,
    fr="Délai dépassé : réessayez.",
    en="Deadline passed: try again.",
)
REFUSED = Reason(
    "REFUSED",
    Code.FAILED_PRECONDITION,
    fr="La demande ne peut pas être traitée.",
    en="The request cannot be done.",
)
ACCESS_REFUSED = Reason(
    "ACCESS_REFUSED",
    Code.PERMISSION_DENIED,
    fr="Cette action n'est pas permise.",
    en="This action is not allowed.",
)
