"""Reasons of the kit itself: what any call may be refused for."""

from __future__ import annotations

from dui_kit.errors import Code, Reason

TOKEN_MISSING = Reason(
    "TOKEN_MISSING",
    Code.UNAUTHENTICATED,
    fr="Identifiez-vous : l'appel ne porte pas de jeton d'accès (en-tête Authorization: Bearer …).",
    en="Log in: the call carries no access token (header Authorization: Bearer …).",
)
TOKEN_REFUSED = Reason(
    "TOKEN_REFUSED",
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
KEYS_UNAVAILABLE = Reason(
    "KEYS_UNAVAILABLE",
    Code.UNAVAILABLE,
    fr="L'identité ne peut pas être vérifiée pour le moment : réessayez dans un instant.",
    en="Identity cannot be verified for the moment: try again in a while.",
)
SESSION_REVOKED = Reason(
    "SESSION_REVOKED",
    Code.UNAUTHENTICATED,
    fr="Cette session a été fermée. Identifiez-vous à nouveau.",
    en="This session was ended. Log in again.",
    about_rights=True,
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
BEYOND_REACH = Reason(
    "BEYOND_REACH",
    Code.PERMISSION_DENIED,
    fr="Votre affectation ne couvre pas ce lieu, ou pas tous ceux où cette personne travaille ou a travaillé : demandez à "
    "quelqu'un qui est affecté à tout l'établissement ou à l'association.",
    en="Your assignment does not cover this place, or not all those where this person works or has worked: ask somebody who is "
    "assigned to the whole facility or association.",
)
STEP_UP_REQUIRED = Reason(
    "STEP_UP_REQUIRED",
    Code.PERMISSION_DENIED,
    fr="Cette action demande une identification renforcée récente (second facteur) : saisissez un nouveau code.",
    en="This action asks for a recent second factor: enter a new code.",
)
SERVICE_ONLY = Reason(
    "SERVICE_ONLY",
    Code.PERMISSION_DENIED,
    fr="Personnes et services de la plateforme ont chacun leurs opérations : celle-ci n'est pas ouverte à ce compte.",
    en="Persons and services of the platform have operations of their own: this one is not open to this account.",
)
STALE_RIGHTS = Reason(
    "STALE_RIGHTS",
    Code.UNAVAILABLE,
    fr="Les droits n'ont pas pu être vérifiés depuis plus de 15 minutes : exports et changements de droits attendent. Réessayez.",
    en="Rights could not be verified for more than 15 minutes: exports and changes of rights wait. Try again.",
    about_rights=True,
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
    fr="Valeur inconnue. Valeurs acceptées : {values}.",
    en="Unknown value. Accepted values: {values}.",
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
    fr="Idempotency-Key : 1 à 100 caractères ASCII imprimables, sans espace.",
    en="Idempotency-Key: 1 to 100 printable ASCII characters, no space.",
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
