"""Refusals on the wire: a gRPC status with `google.rpc` details, in the caller's language."""

from __future__ import annotations

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2

from dui_kit.errors import MAX_CHARACTERS, MAX_VIOLATIONS, Refusal

DOMAIN = "dui"
DETAILS_KEY = "grpc-status-details-bin"


def language_of(accept_language: str) -> str:
    """`en` when English comes before French in `Accept-Language`, else `fr`."""
    best, best_weight = "fr", 0.0
    for part in accept_language.split(","):
        tag, _, weight = part.strip().partition(";q=")
        name = tag.strip().lower()[:2]
        try:
            value = float(weight) if weight else 1.0
        except ValueError:
            continue
        if name in {"fr", "en"} and value > best_weight:
            best, best_weight = name, value
    return best


def status_of(refusal: Refusal, language: str) -> status_pb2.Status:
    """The status of a refusal: reason, message in the language, and every field with its remedy."""
    reason = refusal.reason
    message = refusal.violations[0].text(language)
    status = status_pb2.Status(code=code_pb2.Code.Value(reason.code.value), message=reason.name)
    info = error_details_pb2.ErrorInfo(reason=reason.name, domain=DOMAIN)
    status.details.add().Pack(info)
    status.details.add().Pack(error_details_pb2.LocalizedMessage(locale=language, message=message))
    fields = [violation for violation in refusal.violations if violation.field]
    if fields:
        bad = error_details_pb2.BadRequest()
        characters = len(message)
        for violation in fields[:MAX_VIOLATIONS]:
            description = violation.text(language)
            characters += len(description)
            if bad.field_violations and characters > MAX_CHARACTERS:
                break
            bad.field_violations.add(field=violation.field, description=description, reason=violation.reason.name)
        status.details.add().Pack(bad)
    return status


def grpc_code(refusal: Refusal) -> grpc.StatusCode:
    """The gRPC code of a refusal."""
    return grpc.StatusCode[refusal.reason.code.value]
