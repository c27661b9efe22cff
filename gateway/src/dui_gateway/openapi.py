"""The OpenAPI 3.1 document, derived from the descriptors and their comments. Nobody writes it by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from dui.options.v1 import options_pb2
from dui_kit.wire import keys
from google.protobuf.descriptor import EnumDescriptor

from dui_gateway import problems, texts
from dui_gateway.contract import Operation, comments, required
from dui_gateway.reasons import Published, published
from dui_gateway.schemas import Schema, Schemas

MERGE_PATCH = "application/merge-patch+json"

_DESCRIPTION = """\
Dossier de l'usager informatisé (DUI) des établissements et services sociaux et médico-sociaux.

- **Identification** : jeton d'accès OpenID Connect, `Authorization: Bearer …`, demandé avec le scope
  `organization:ALIAS`, qui choisit l'association. Certaines opérations demandent un second facteur (`acr` 2).
- **Erreurs** : `application/problem+json` (RFC 9457), en français, ou en anglais avec `Accept-Language: en` ; `reason`
  est stable, `errors` nomme les champs et le remède. Les exemples des réponses donnent toutes les raisons, avec leurs textes.
- **Écritures rejouables** : `Idempotency-Key` sur une écriture ; après un délai dépassé, réessayer avec la même clé.
- **Versions** : `ETag` à la lecture, `If-Match` à la modification ; `If-None-Match` évite de relire.
- **Listes** : `page_size` et `page_token` ; un jeton de page ne vaut que pour la même liste.
- **JSON** : `snake_case` ; les champs toujours présents valent aussi `0`, `false` ou `""` ; un champ inconnu est refusé ;
  des valeurs d'énumération et des champs peuvent s'ajouter aux réponses.
"""

# Every problem that an operation may answer with. Reads have no version to check and nothing to replay.
ANY = (400, 401, 403, 404, 429, 500, 503, 504)
WRITE = (409, 422)
BODY = (413, 415)
VERSIONED = (412, 428)
# Of no operation, but of an address: listed for their reasons.
ELSEWHERE = (405,)


def document(operations: tuple[Operation, ...], issuer: str) -> Schema:
    """The whole document; `issuer`: the OpenID Connect issuer that callers log in at."""
    schemas = Schemas()
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.verb.lower()] = _operation(operation, operations, schemas)
    services = {operation.method.containing_service.full_name: operation for operation in operations}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DUI",
            "version": version("dui-gateway"),
            "description": _DESCRIPTION,
            "license": {"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": tag(operation), "description": comments().get(name, "")} for name, operation in services.items()
        ],
        "security": [{"login": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.found.items())) | {"Problem": _PROBLEM},
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "responses": _problems(),
            "securitySchemes": {
                "login": {
                    "type": "oauth2",
                    "flows": {
                        "authorizationCode": {
                            "authorizationUrl": f"{issuer}/protocol/openid-connect/auth",
                            "tokenUrl": f"{issuer}/protocol/openid-connect/token",
                            "refreshUrl": f"{issuer}/protocol/openid-connect/token",
                            "scopes": {
                                "openid": "Identité de la personne",
                                "organization:ALIAS": "L'association choisie, par son alias",
                            },
                        }
                    },
                },
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": _BEARER},
            },
        },
    }


def text(operations: tuple[Operation, ...], issuer: str) -> str:
    """The document as it is kept under version control."""
    return json.dumps(document(operations, issuer), indent=1, ensure_ascii=False) + "\n"


def tag(operation: Operation) -> str:
    """`HandoverNoteService` → `Handover note`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", operation.method.containing_service.name.removesuffix("Service"))
    return words[0] + words[1:].lower()


def operation_id(operation: Operation) -> str:
    """`CreateBeneficiary` → `createBeneficiary`; stable, for generated clients."""
    return operation.name[0].lower() + operation.name[1:]


def versioned(operation: Operation) -> bool:
    """Whether the service asks for the version that the caller read."""
    return bool(operation.access.if_match)


def statuses(operation: Operation) -> tuple[int, ...]:
    """The problems that the operation may answer with."""
    found: tuple[int, ...] = ANY
    if not operation.reads:
        found += WRITE
    if operation.body:
        found += BODY
    if versioned(operation):
        found += VERSIONED
    return tuple(sorted(found))


def _operation(operation: Operation, operations: tuple[Operation, ...], schemas: Schemas) -> Schema:
    words = comments().get(operation.method.full_name, operation.name)
    summary, _, more = words.partition(". ")
    described: Schema = {
        "operationId": operation_id(operation),
        "tags": [tag(operation)],
        "summary": summary.rstrip("."),
        "description": (more + "\n\n" if more else "") + _access_words(operation),
        "x-dui-access": _access(operation),
        "parameters": _parameters(operation, schemas),
        "responses": _responses(operation, operations, schemas),
    }
    if operation.body:
        described["requestBody"] = _body(operation, schemas)
    return described


def _access(operation: Operation) -> Schema:
    access = operation.access
    shown: Schema = {
        "action": options_pb2.Action.Name(access.action),
        "perimeter": options_pb2.Perimeter.Name(access.perimeter),
        "acr": access.acr or 1,
    }
    if access.category:
        shown["category"] = options_pb2.Category.Name(access.category)
    if access.category_field:
        shown["category_field"] = problems.json_path(access.category_field, operation)
    if access.any_category:
        shown["any_category"] = True
    return shown


def _access_words(operation: Operation) -> str:
    access = operation.access
    if access.category:
        category = f"category {_label(options_pb2.DESCRIPTOR.enum_types_by_name['Category'], access.category)}"
    elif access.category_field:
        category = f"the category given in `{problems.json_path(access.category_field, operation)}`"
    else:
        category = "any category open to the caller"
    action = _label(options_pb2.DESCRIPTOR.enum_types_by_name["Action"], access.action)
    perimeter = _label(options_pb2.DESCRIPTOR.enum_types_by_name["Perimeter"], access.perimeter)
    level = "second factor (`acr` 2)" if access.acr >= 2 else "password (`acr` 1)"
    return f"**Access**: {category} · action {action} · perimeter {perimeter} · {level}."


def _label(enum: EnumDescriptor, number: int) -> str:
    value = enum.values_by_number[number]
    short = value.name.removeprefix(f"{enum.name.upper()}_")
    return f"`{short}` ({value.GetOptions().Extensions[options_pb2.label_fr]})"


def _parameters(operation: Operation, schemas: Schemas) -> list[Schema]:
    fields = operation.method.input_type.fields_by_name
    found = [_parameter(fields[name], "path", schemas) for name in operation.parameters]
    found += [_parameter(field, "query", schemas) for field in operation.query]
    shared = ["AcceptLanguage"]
    if not operation.reads:
        shared.append("IdempotencyKey")
        if versioned(operation):
            shared.append("IfMatch")
    elif operation.is_get and operation.resource:
        shared.append("IfNoneMatch")
    return found + [{"$ref": f"#/components/parameters/{name}"} for name in shared]


def _parameter(field: Any, place: str, schemas: Schemas) -> Schema:
    schema = dict(schemas.parameter(field))
    words = schema.pop("description", "")
    schema.pop("x-dui-sensitive", None)
    return {
        "name": field.name,
        "in": place,
        "required": place == "path" or required(field),
        "description": words,
        "schema": schema,
    }


def _body(operation: Operation, schemas: Schemas) -> Schema:
    kind = operation.body_type
    if kind is None:
        without = frozenset(operation.parameters)
        message = operation.method.input_type
        rest = [one for one in message.fields if one.name not in without]
        schema = schemas.request(message, without)
        return {
            "required": any(required(one) for one in rest),
            "content": {"application/json": {"schema": schema}},
        }
    if operation.verb == "PATCH":
        schema = schemas.patch(kind)
        types = [MERGE_PATCH, "application/json"]
    else:
        schema = schemas.sent(kind)
        types = ["application/json"]
    return {"required": True, "content": {media: {"schema": schema} for media in types}}


def _responses(operation: Operation, operations: tuple[Operation, ...], schemas: Schemas) -> Schema:
    output = operation.method.output_type
    success: Schema = {
        "description": comments().get(output.full_name, "").rstrip(".") or "Done",
        "content": _answer(operation, schemas),
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
    }
    if operation.content_type:
        success["headers"]["Content-Disposition"] = {"$ref": "#/components/headers/ContentDisposition"}
    found: Schema = {str(operation.success): success}
    if operation.resource:
        success["headers"]["ETag"] = {"$ref": "#/components/headers/ETag"}
        if operation.is_get:
            found["304"] = {
                "description": "Not changed since the version of `If-None-Match`",
                "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
            }
    if operation.success == 201 and operation.location(operations):
        success["headers"]["Location"] = {"$ref": "#/components/headers/Location"}
    for status in statuses(operation):
        found[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    return found


def _answer(operation: Operation, schemas: Schemas) -> Schema:
    if operation.content_type:
        return {operation.content_type: {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": schemas.shown(operation.result)}}


def _problems() -> Schema:
    reasons = published()
    shown = {}
    for status in sorted({*ANY, *WRITE, *BODY, *VERSIONED, *ELSEWHERE}):
        own = [one for one in reasons if problems.status_of(one.code, one.reason) == status]
        shown[f"Problem{status}"] = _problem(status, own)
    return shown


def _problem(status: int, reasons: Iterable[Published]) -> Schema:
    french, english = problems.TITLES[status]
    headers: Schema = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if status in {401, 403}:
        headers["WWW-Authenticate"] = {"$ref": "#/components/headers/WWWAuthenticate"}
    if status in {429, 503}:
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    return {
        "description": f"{english} ({french})",
        "headers": headers,
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {one.reason: _example(status, one) for one in reasons},
            }
        },
    }


def _example(status: int, one: Published) -> Schema:
    """What a caller reads in French, and the same text in English."""
    problem = problems.Problem(status, one.reason, one.fr)
    if one.reason == texts.REQUEST_INVALID.name:
        missing = next(other for other in published() if other.reason == "FIELD_REQUIRED")
        faults = tuple(problems.FieldError(field, missing.fr, missing.reason) for field in ("birth_name", "birth_date"))
        problem = problems.Problem(status, one.reason, one.fr, faults)
    value = problems.document(problem, language="fr", request_id=_REQUEST_ID)
    return {"description": one.en, "value": value}


_REQUEST_ID = "6f1c0e7b2a9d44e8b1c35d7f90a2e46c"
_BEARER = """\
An access token of the platform's realm; it holds for five minutes. Applications get one for the person who uses them by the
authorization code flow with PKCE (S256), as the public client `dui-web`, with the scopes `openid` and `organization:ALIAS`:
ALIAS is the association in which the person works, and a token is for one association. Where an operation says `acr` 2, the login
asks for the second factor: parameter `claims` with an essential `acr` of 2. On a local stack `uv run dui token ACCOUNT` prints a
token of a demo account, with `--acr 2` one with the second factor."""


def _header_parameter(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


_PARAMETERS: Schema = {
    "AcceptLanguage": _header_parameter(
        "Accept-Language", "Language of messages: `fr` (default) or `en`.", {"type": "string", "examples": ["fr", "en"]}
    ),
    "IdempotencyKey": _header_parameter(
        "Idempotency-Key",
        "Makes the write safe to send again: within 48 hours the same key gives the same outcome, done once. "
        "Printable ASCII without spaces.",
        {
            "type": "string",
            "minLength": 1,
            "maxLength": keys.MAX_LENGTH,
            "pattern": f"^{keys.PATTERN}$",
            "examples": ["3f0c2d6e-1b7a-4c55-8a3e-0d9f6b2c7e41"],
        },
    ),
    "IfMatch": _header_parameter(
        "If-Match",
        "The `etag` of the version that was read. Missing where it is needed: 428. Changed in the meantime: 412.",
        {"type": "string", "pattern": '^(W/)?"[!#-+\\--~]{1,100}"$', "examples": ['"5f1a0c7e2b9d44e81c"']},
    ),
    "IfNoneMatch": _header_parameter(
        "If-None-Match", "The `ETag` already held: 304 when it is still the current one.", {"type": "string"}
    ),
}
_HEADERS: Schema = {
    "ContentDisposition": {
        "description": "`inline`, and a name for the file that tells of nobody.",
        "schema": {"type": "string"},
    },
    "ETag": {"description": "Version of the resource, for `If-Match`.", "schema": {"type": "string"}},
    "Location": {"description": "Address of what was created.", "schema": {"type": "string"}},
    "RequestId": {"description": "Id of this request, for the operator.", "schema": {"type": "string"}},
    "RetryAfter": {"description": "Seconds to wait before trying again.", "schema": {"type": "string"}},
    "WWWAuthenticate": {
        "description": "How to authenticate (RFC 6750), or that a second factor is needed (RFC 9470).",
        "schema": {"type": "string"},
    },
}
_PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong and what to do about it (RFC 9457).",
    "required": ["type", "title", "status", "detail", "reason", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "`urn:dui:problem:` and the reason in lower case."},
        "title": {"type": "string", "description": "Kind of problem."},
        "status": {"type": "integer", "description": "HTTP status."},
        "detail": {"type": "string", "description": "What a person can do about it."},
        "reason": {
            "type": "string",
            "description": "Stable code, UPPER_SNAKE. The examples of the responses show each of them; more may be added.",
            "examples": ["ETAG_STALE"],
        },
        "errors": {
            "type": "array",
            "description": "The fields at fault.",
            "items": {
                "type": "object",
                "required": ["field", "message", "reason"],
                "properties": {
                    "field": {"type": "string", "description": "Path in what was sent.", "examples": ["birth_date"]},
                    "message": {"type": "string", "description": "The remedy."},
                    "reason": {"type": "string", "description": "Stable code, UPPER_SNAKE; may be empty."},
                },
            },
        },
        "request_id": {"type": "string", "description": "Id of the request, for the operator."},
        "trace_id": {"type": "string", "description": "Id of the trace, for the operator."},
    },
}
