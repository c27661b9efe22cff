"""Reasons of the kit itself: what any call may be refused for."""

from __future__ import annotations

from dui_kit.errors import Code, Reason

TOKEN_MISSING = Reason(
    "TOKEN_MISSING",
    Code.UNAUTHENTICATED,
    fr="Identifiez-vous : l'appel ne porte pas de jeton d'accès.",
    en="Log in: the call carries no access token.",
)
TOKEN_REFUSED = Reason(
    "TOKEN_REFUSED",
    Code.UNAUTHENTICATED,
    fr="Le jeton d'accès n'est pas valable ({why}). Identifiez-vous à nouveau.",
    en="The access token is not valid ({why}). Log in again.",
)
SESSION_REVOKED = Reason(
    "SESSION_REVOKED",
    Code.UNAUTHENTICATED,
    fr="Cette session a été fermée. Identifiez-vous à nouveau.",
    en="This session was ended. Log in again.",
)
ACCOUNT_INACTIVE = Reason(
    "ACCOUNT_INACTIVE",
    Code.PERMISSION_DENIED,
    fr="Ce compte est suspendu, clos ou inconnu de cette association. Adressez-vous à votre administrateur.",
    en="This account is suspended, ended or unknown to this association. Ask your administrator.",
)
ASSOCIATION_INACTIVE = Reason(
    "ASSOCIATION_INACTIVE",
    Code.PERMISSION_DENIED,
    fr="L'accès de cette association est suspendu.",
    en="This association is suspended.",
)
NOT_ASSIGNED = Reason(
    "NOT_ASSIGNED",
    Code.PERMISSION_DENIED,
    fr="Aucune affectation en cours ne vous donne accès ici. Adressez-vous à votre administrateur.",
    en="No assignment in force gives you access here. Ask your administrator.",
)
RIGHT_MISSING = Reason(
    "RIGHT_MISSING",
    Code.PERMISSION_DENIED,
    fr="Votre fonction ne permet pas cette action sur ces données.",
    en="Your profession does not allow this action on these data.",
)
OUT_OF_PERIMETER = Reason(
    "OUT_OF_PERIMETER",
    Code.PERMISSION_DENIED,
    fr="Cette personne n'est pas accompagnée là où vous êtes affecté. En cas d'urgence, un accès motivé est possible.",
    en="This person is not accompanied where you are assigned. In an emergency, access with a reason is possible.",
)
PLACE_UNKNOWN = Reason(
    "PLACE_UNKNOWN",
    Code.NOT_FOUND,
    fr="Cet établissement, ou cette unité de l'établissement, n'existe pas dans l'association : choisissez-en un dans la liste.",
    en="This facility, or this unit of the facility, does not exist in the association: choose one of the list.",
)
STEP_UP_REQUIRED = Reason(
    "STEP_UP_REQUIRED",
    Code.PERMISSION_DENIED,
    fr="Cette action demande une identification renforcée (second facteur).",
    en="This action asks for a second factor.",
)
SERVICE_ONLY = Reason(
    "SERVICE_ONLY",
    Code.PERMISSION_DENIED,
    fr="Cette opération est réservée aux services de la plateforme.",
    en="This operation is for the services of the platform only.",
)
STALE_RIGHTS = Reason(
    "STALE_RIGHTS",
    Code.UNAVAILABLE,
    fr="Les droits n'ont pas pu être vérifiés depuis plus de 15 minutes : exports et changements de droits attendent. Réessayez.",
    en="Rights could not be verified for more than 15 minutes: exports and changes of rights wait. Try again.",
)
FIELD_REQUIRED = Reason("FIELD_REQUIRED", Code.INVALID_ARGUMENT, fr="Champ obligatoire.", en="This field is required.")
FIELD_READ_ONLY = Reason(
    "FIELD_READ_ONLY",
    Code.INVALID_ARGUMENT,
    fr="Champ fixé par la plateforme : retirez-le de la demande.",
    en="The platform sets this field: leave it out of the request.",
)
FIELD_IMMUTABLE = Reason(
    "FIELD_IMMUTABLE",
    Code.INVALID_ARGUMENT,
    fr="Ce champ ne change plus une fois enregistré.",
    en="This field cannot change once recorded.",
)
FIELD_UNKNOWN = Reason(
    "FIELD_UNKNOWN",
    Code.INVALID_ARGUMENT,
    fr="Champ inconnu : vérifiez son nom.",
    en="Unknown field: check its name.",
)
FIELD_TOO_LONG = Reason(
    "FIELD_TOO_LONG",
    Code.INVALID_ARGUMENT,
    fr="{limit} caractères au plus.",
    en="At most {limit} characters.",
)
LIST_TOO_LONG = Reason(
    "LIST_TOO_LONG", Code.INVALID_ARGUMENT, fr="{limit} éléments au plus.", en="At most {limit} items."
)
TEXT_CONTROL_CHARACTER = Reason(
    "TEXT_CONTROL_CHARACTER",
    Code.INVALID_ARGUMENT,
    fr="Le texte contient un caractère de contrôle : retirez-le.",
    en="The text holds a control character: remove it.",
)
ENUM_UNKNOWN = Reason(
    "ENUM_UNKNOWN",
    Code.INVALID_ARGUMENT,
    fr="Valeur inconnue : choisissez une valeur de la liste publiée.",
    en="Unknown value: choose one of the published list.",
)
FORMAT_INVALID = Reason(
    "FORMAT_INVALID", Code.INVALID_ARGUMENT, fr="Format attendu : {fr}.", en="Expected format: {en}."
)
PAGE_SIZE_INVALID = Reason(
    "PAGE_SIZE_INVALID", Code.INVALID_ARGUMENT, fr="Entre 1 et {limit}.", en="Between 1 and {limit}."
)
PAGE_TOKEN_INVALID = Reason(
    "PAGE_TOKEN_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Ce jeton de page n'est pas valable pour cette liste : recommencez à la première page.",
    en="This page token is not valid for this list: start again at the first page.",
)
PRECONDITION_REQUIRED = Reason(
    "PRECONDITION_REQUIRED",
    Code.FAILED_PRECONDITION,
    fr="Envoyez l'en-tête If-Match avec l'etag de ce que vous avez lu.",
    en="Send the If-Match header with the etag of what you read.",
)
ETAG_STALE = Reason(
    "ETAG_STALE",
    Code.ABORTED,
    fr="La donnée a changé depuis votre lecture : relisez-la, puis recommencez.",
    en="This changed since you read it: read it again, then try again.",
)
IDEMPOTENCY_KEY_INVALID = Reason(
    "IDEMPOTENCY_KEY_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Idempotency-Key : 1 à 100 caractères ASCII imprimables.",
    en="Idempotency-Key: 1 to 100 printable ASCII characters.",
)
IDEMPOTENCY_KEY_REUSED = Reason(
    "IDEMPOTENCY_KEY_REUSED",
    Code.INVALID_ARGUMENT,
    fr="Cette clé Idempotency-Key a déjà servi pour une autre demande : prenez-en une nouvelle.",
    en="This Idempotency-Key was already used for another request: take a new one.",
)
IDEMPOTENCY_OUTCOME_LOST = Reason(
    "IDEMPOTENCY_OUTCOME_LOST",
    Code.FAILED_PRECONDITION,
    fr="Cette demande a déjà été exécutée, mais sa réponse n'est plus lisible : relisez la donnée avant tout nouvel essai.",
    en="This request was already carried out, but its answer can no longer be read: read the data before any new try.",
)
DEADLINE_PASSED = Reason(
    "DEADLINE_PASSED",
    Code.DEADLINE_EXCEEDED,
    fr="Le délai est passé et rien n'a été enregistré. Réessayez avec la même clé Idempotency-Key.",
    en="The deadline passed and nothing was recorded. Try again with the same Idempotency-Key.",
)
CONFLICT = Reason(
    "CONFLICT",
    Code.ABORTED,
    fr="Une autre écriture a eu lieu au même moment : réessayez.",
    en="Another write happened at the same time: try again.",
)
DATABASE_UNAVAILABLE = Reason(
    "DATABASE_UNAVAILABLE",
    Code.UNAVAILABLE,
    fr="Le service est momentanément indisponible : réessayez avec la même clé Idempotency-Key.",
    en="The service is unavailable for a moment: try again with the same Idempotency-Key.",
)
INTERNAL = Reason(
    "INTERNAL",
    Code.INTERNAL,
    fr="Erreur interne. Réessayez ; si elle persiste, donnez l'identifiant de la demande à votre exploitant.",
    en="Internal error. Try again; if it persists, give the request id to your operator.",
)
