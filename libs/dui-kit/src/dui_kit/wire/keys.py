"""What an `Idempotency-Key` looks like: the gateway, its OpenAPI document and every service refuse the same ones."""

from __future__ import annotations

import re

from dui_kit.errors import Refusal
from dui_kit.wire.texts import IDEMPOTENCY_KEY_INVALID

MAX_LENGTH = 100
#: Printable ASCII without the space: gRPC metadata takes nothing else, and cuts spaces off at both ends.
PATTERN = rf"[!-~]{{1,{MAX_LENGTH}}}"
_KEY = re.compile(PATTERN)


def check_idempotency_key(key: str) -> None:
    """Refuses a key of another form."""
    if not _KEY.fullmatch(key):
        raise Refusal(IDEMPOTENCY_KEY_INVALID, field="Idempotency-Key")
