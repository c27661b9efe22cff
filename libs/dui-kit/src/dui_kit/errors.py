"""How a rule says no: a stable reason, a message that names the remedy, and the field it is about.

Pure Python, so that rules may import it. The guard turns a `Refusal` into a gRPC status with `google.rpc` details; the
gateway turns that into a problem document (RFC 9457).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: A refusal travels in the metadata of gRPC, which takes 8 kB: it names no more than so many faults, and no more once their
#: texts are so long.
MAX_VIOLATIONS = 20
MAX_CHARACTERS = 3_000


class Code(StrEnum):
    """The gRPC status codes that a refusal may have."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    ABORTED = "ABORTED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"
    OUT_OF_RANGE = "OUT_OF_RANGE"


@dataclass(frozen=True, slots=True)
class Reason:
    """A stable reason of refusal.

    `name` is UPPER_SNAKE and never changes. The texts name the remedy; they may hold `{placeholders}` and never
    personal data.
    """

    name: str
    code: Code
    fr: str
    en: str
    #: The refusal is about rights, though its code says something else to the caller.
    about_rights: bool = False

    @property
    def is_denial(self) -> bool:
        """True for a refusal for want of a right: the access journal keeps it."""
        return self.about_rights or self.code is Code.PERMISSION_DENIED


@dataclass(frozen=True, slots=True)
class Violation:
    """One refusal about one field of the request (`field` is its path, `beneficiary.birth_date`)."""

    reason: Reason
    field: str = ""
    params: tuple[tuple[str, str | int], ...] = ()

    def text(self, language: str) -> str:
        """The message in `fr` or `en`."""
        return (self.reason.en if language == "en" else self.reason.fr).format(**dict(self.params))


class Refusal(Exception):
    """A call that cannot be done, for a reason that the caller can act on."""

    def __init__(self, reason: Reason, *, field: str = "", because: Reason | None = None, **params: str | int) -> None:
        """Refuses for `reason`; `params` fill its placeholders and must not be personal data.

        `because`: the true reason, for the journal, of a refusal that tells the caller less.
        """
        super().__init__(reason.name)
        self.violations: tuple[Violation, ...] = (Violation(reason, field, tuple(params.items())),)
        self._because = because

    @classmethod
    def of(cls, violations: tuple[Violation, ...]) -> Refusal:
        """One refusal of several fields at once."""
        refusal = cls(violations[0].reason)
        refusal.violations = violations
        return refusal

    @property
    def reason(self) -> Reason:
        """The first reason, which gives the status."""
        return self.violations[0].reason

    @property
    def true_reason(self) -> Reason:
        """The reason for the journal."""
        return self._because or self.reason


NOT_FOUND = Reason(
    "NOT_FOUND",
    Code.NOT_FOUND,
    fr="Introuvable : vérifiez l'identifiant.",
    en="Not found: check the id.",
)


def not_found(field: str, *, because: Reason | None = None) -> Refusal:
    """Nothing has this id for this caller: unknown, another association's, or another parent's child.

    `because`: it exists, and the caller may not know; the journal keeps why.
    """
    return Refusal(NOT_FOUND, field=field, because=because)
