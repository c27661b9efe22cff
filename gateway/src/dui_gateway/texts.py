"""What the gateway itself says when it refuses: stable reasons and texts that name the remedy."""

from __future__ import annotations

from dui_kit.errors import Code, Reason
from dui_kit.texts import (
    ENUM_UNKNOWN,
    FIELD_READ_ONLY,
    FIELD_UNKNOWN,
    IDEMPOTENCY_KEY_INVALID,
    INTERNAL,
    TEXT_CONTROL_CHARACTER,
)

__all__ = [
    "ENUM_UNKNOWN",
    "FIELD_READ_ONLY",
    "FIELD_UNKNOWN",
    "IDEMPOTENCY_KEY_INVALID",
    "INTERNAL",
    "TEXT_CONTROL_CHARACTER",
]

_TYPES = {
    "object": ("un objet", "an object"),
    "list": ("une liste", "a list"),
    "text": ("un texte entre guillemets", "a text in quotes"),
    "boolean": ("true ou false", "true or false"),
    "integer": ("un nombre entier", "a whole number"),
}
_WRONG_TYPES = {
    name: Reason("WRONG_TYPE", Code.INVALID_ARGUMENT, fr=f"Attendu : {fr}.", en=f"Expected: {en}.")
    for name, (fr, en) in _TYPES.items()
}


def wrong_type(expected: str) -> Reason:
    """The JSON value has another type than `expected` (object, list, text, boolean, integer)."""
    return _WRONG_TYPES[expected]


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
TOKEN_MISSING = Reason(
    "TOKEN_MISSING",
    Code.UNAUTHENTICATED,
    fr="Identifiez-vous : envoyez l'en-tête Authorization avec un jeton Bearer.",
    en="Log in: send the Authorization header with a Bearer token.",
)
TOKEN_INVALID = Reason(
    "TOKEN_INVALID",
    Code.UNAUTHENTICATED,
    fr="Le jeton d'accès n'est pas valable. Identifiez-vous à nouveau.",
    en="The access token is not valid. Log in again.",
)
TOKEN_EXPIRED = Reason(
    "TOKEN_EXPIRED",
    Code.UNAUTHENTICATED,
    fr="Le jeton d'accès a expiré. Renouvelez-le ou identifiez-vous à nouveau.",
    en="The access token has expired. Renew it or log in again.",
)
TOKEN_NOT_YET_VALID = Reason(
    "TOKEN_NOT_YET_VALID",
    Code.UNAUTHENTICATED,
    fr="Le jeton d'accès n'est pas encore valable : vérifiez l'heure du poste.",
    en="The access token is not valid yet: check the clock of the device.",
)
TENANT_MISSING = Reason(
    "TENANT_MISSING",
    Code.UNAUTHENTICATED,
    fr="Le jeton ne désigne aucune association. Identifiez-vous en choisissant la vôtre (scope organization:ALIAS).",
    en="The token names no association. Log in choosing yours (scope organization:ALIAS).",
)
TENANT_AMBIGUOUS = Reason(
    "TENANT_AMBIGUOUS",
    Code.UNAUTHENTICATED,
    fr="Le jeton désigne plusieurs associations. Identifiez-vous en en choisissant une (scope organization:ALIAS).",
    en="The token names several associations. Log in choosing one (scope organization:ALIAS).",
)
CLIENT_REFUSED = Reason(
    "CLIENT_REFUSED",
    Code.UNAUTHENTICATED,
    fr="Cette application n'est pas autorisée à appeler la plateforme.",
    en="This application may not call the platform.",
)
SERVICE_TOKEN_REFUSED = Reason(
    "SERVICE_TOKEN_REFUSED",
    Code.PERMISSION_DENIED,
    fr="Un compte de service n'a pas accès à cette adresse, réservée aux personnes.",
    en="A service account has no access to this address, which is for people.",
)
KEYS_UNAVAILABLE = Reason(
    "KEYS_UNAVAILABLE",
    Code.UNAVAILABLE,
    fr="L'identité ne peut pas être vérifiée pour le moment : réessayez dans un instant.",
    en="Identity cannot be verified for the moment: try again in a while.",
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
