"""The public keys of the token issuer (JWKS), kept in memory and on disk."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import jwt

from dui_kit.wire.logs import log

# A token with an unknown key causes one fetch per cool-down, whatever the number of such tokens.
COOL_DOWN_SECONDS = 10.0
# Without any key nobody can enter: the issuer is asked more often.
EMPTY_COOL_DOWN_SECONDS = 1.0
# A key that the issuer withdrew is forgotten after this long at most.
MAX_AGE_SECONDS = 300.0
FETCH_TIMEOUT_SECONDS = 2.0
_MAX_BYTES = 262_144


class KeysUnavailable(Exception):
    """No key set was ever obtained: neither from the issuer nor from the disk."""


class KeySet:
    """Keys by key id. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        cache_dir: Path | None,
        *,
        fetch: Callable[[str], bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._fetch = fetch or _fetch
        self._clock = clock
        self._file = cache_dir / f"jwks-{sha256(url.encode()).hexdigest()[:16]}.json" if cache_dir else None
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._load()

    @property
    def ready(self) -> bool:
        """Whether any key is known; tries to obtain the set when none is."""
        if not self._keys:
            self._refresh()
        return bool(self._keys)

    def holds(self, key_id: str) -> bool:
        """Whether the key is still one of the issuer's, as far as known. Renews an old copy beside the call."""
        self._renew()
        return key_id in self._keys

    def get(self, key_id: str) -> jwt.PyJWK | None:
        """The key, or None when the issuer has no such key. Raises `KeysUnavailable`."""
        key = self._keys.get(key_id)
        if key is None:
            self._refresh()
            key = self._keys.get(key_id)
            if key is None and not self._keys:
                raise KeysUnavailable
        else:
            self._renew()
        return key

    def _renew(self) -> None:
        old = self._fetched_at is None or self._clock() - self._fetched_at > MAX_AGE_SECONDS
        if old and not self._cooling() and not self._refreshing.locked():
            threading.Thread(target=self._refresh, name="jwks-refresh", daemon=True).start()

    def _cooling(self) -> bool:
        pause = COOL_DOWN_SECONDS if self._keys else EMPTY_COOL_DOWN_SECONDS
        return self._tried_at is not None and self._clock() - self._tried_at < pause

    def _refresh(self) -> None:
        """Fetches the set unless it was tried a moment ago; concurrent callers wait for the one that fetches."""
        with self._refreshing:
            if self._cooling():
                return
            self._tried_at = self._clock()
            try:
                raw = self._fetch(self._url)
                keys = _parse(raw)
            except (httpx.HTTPError, OSError, ValueError, jwt.PyJWTError) as error:
                # The address is a setting, not a secret; the answer is not repeated.
                log.warning("token keys not refreshed", error=type(error).__name__)
                return
            self._keys = keys
            self._fetched_at = self._clock()
            self._save(raw)

    def _load(self) -> None:
        if self._file is None:
            return
        try:
            self._keys = _parse(self._file.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError, jwt.PyJWTError) as error:
            log.warning("token keys on disk not read", error=type(error).__name__)

    def _save(self, raw: bytes) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._file.parent, prefix=".jwks-")
            with os.fdopen(descriptor, "wb") as target:
                target.write(raw)
            Path(name).replace(self._file)
        except OSError as error:
            log.warning("token keys not kept on disk", error=type(error).__name__)


def _fetch(url: str) -> bytes:
    answer = httpx.get(url, timeout=FETCH_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False)
    answer.raise_for_status()
    if len(answer.content) > _MAX_BYTES:
        raise ValueError("key set too large")
    return answer.content


def _parse(raw: bytes) -> dict[str, jwt.PyJWK]:
    """The signature keys of a JWKS document that we can use; a set without any is an error."""
    document: Any = json.loads(raw)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError("no key set")
    keys: dict[str, jwt.PyJWK] = {}
    for entry in entries:
        # A symmetric key in a public set would let anybody sign; encryption keys sign nothing.
        if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC") or entry.get("use", "sig") != "sig":
            continue
        key_id = entry.get("kid")
        if not isinstance(key_id, str) or entry.get("alg", "RS256") not in ("RS256", "ES256", "PS256"):
            continue
        keys[key_id] = jwt.PyJWK.from_dict(entry)
    if not keys:
        raise ValueError("no usable key")
    return keys
