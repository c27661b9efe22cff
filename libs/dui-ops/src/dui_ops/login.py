"""Logs a person in as their browser would: authorization code with PKCE, the login form, the one-time code.

There is no password grant in the realm, so scripts, tests and the demo take the same way in as everybody else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pyotp

from dui_ops.state import Account, State, account, no_answer

CLIENT_ID = "dui-cli"
REDIRECT_URI = "http://127.0.0.1/callback"
_TOTP_STEP_SECONDS = 30
# The last period whose code was given, by secret.
_last_step: dict[str, int] = {}
_codes_lock = threading.Lock()
_FORM = re.compile(r'<form[^>]*\baction="(?P<action>[^"]+)"[^>]*>(?P<body>.*?)</form>', re.DOTALL)
_INPUT = re.compile(r'<input[^>]*\bname="(?P<name>[^"]+)"')
_TOTP_SECRET = re.compile(r'<input[^>]*\bname="totpSecret"[^>]*\bvalue="(?P<value>[^"]+)"')
_FEEDBACK = re.compile(
    r'<(?:span|div|p)[^>]*(?:id="input-error[^"]*"|class="[^"]*(?:kc-feedback-text|alert__title|instruction)[^"]*")[^>]*>(?P<text>.*?)</',
    re.DOTALL,
)


class LoginError(Exception):
    """Why the login did not give a token."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login gives. `claims` is the payload of the access token, decoded and not verified: the caller received it
    from the issuer itself; whoever receives it from a caller must verify it."""

    access_token: str
    refresh_token: str
    id_token: str
    expires_in: int
    claims: dict[str, Any]


@dataclass(slots=True)
class Enrolment:
    """What a person brings when they enter for the first time, or were invited again: the password that they choose; and the
    secret of the device that they enrolled, once they have (base32)."""

    new_password: str
    otp_secret: str | None = None

    def answer(self, form: str) -> dict[str, str] | None:
        """What they type into a form that asks for a device or a new password; None: it asks for something else."""
        asked = set(_INPUT.findall(form))
        if secret := _TOTP_SECRET.search(form):
            value = html.unescape(secret["value"])
            self.otp_secret = base64.b32encode(value.encode()).decode().rstrip("=")
            # The code of the period before, which the server takes too: those that the next logins give stay unused.
            step = int(time.time() // _TOTP_STEP_SECONDS) - 1
            code = pyotp.TOTP(self.otp_secret, interval=_TOTP_STEP_SECONDS).generate_otp(step)
            return {"totpSecret": value, "totp": code, "userLabel": secrets.token_hex(4)}
        if "password-new" in asked:
            return {"password-new": self.new_password, "password-confirm": self.new_password}
        return None


def login(
    *,
    issuer: str,
    username: str,
    password: str,
    organization: str,
    otp_secret: str | None = None,
    acr: str = "1",
    client_id: str = CLIENT_ID,
    redirect_uri: str = REDIRECT_URI,
    enrolment: Enrolment | None = None,
) -> Tokens:
    """Logs in and returns the tokens.

    Args:
        issuer: address of the realm (`…/realms/dui`).
        organization: alias of the association that the session is for.
        otp_secret: base32 secret of the account's one-time codes; needed when `acr` is "2".
        acr: "1" password, "2" password and one-time code.
        enrolment: for a first login, which asks for a device and a new password.

    Raises:
        LoginError: Keycloak does not answer, a refused password or code, an account that must do something first, no token
            at the asked level.
    """
    with Browser(issuer, client_id=client_id, redirect_uri=redirect_uri) as browser:
        return browser.login(
            username=username,
            password=password,
            otp_secret=otp_secret,
            organization=organization,
            acr=acr,
            enrolment=enrolment,
        )


class Browser:
    """The browser of one person: where they have logged in once they stay so, as on a workstation."""

    def __init__(self, issuer: str, *, client_id: str = CLIENT_ID, redirect_uri: str = REDIRECT_URI) -> None:
        """Nothing is asked yet."""
        self._issuer = issuer
        self._endpoints = f"{issuer}/protocol/openid-connect"
        self._client_id, self._redirect_uri = client_id, redirect_uri
        self._http = httpx.Client(timeout=30, trust_env=False, headers={"accept-language": "en"})
        if urlsplit(issuer).hostname in {"127.0.0.1", "::1", "localhost"}:
            self._http.event_hooks = {"response": [lambda _response: _as_a_browser_does(self._http)]}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def login(
        self,
        *,
        organization: str,
        username: str = "",
        password: str = "",
        otp_secret: str | None = None,
        acr: str = "1",
        enrolment: Enrolment | None = None,
        **parameters: str,
    ) -> Tokens:
        """Logs in as `login` does, with what the pages still ask for. `parameters`: of the authorization request (`prompt`…)."""
        with self._answers():
            return self._login(organization, username, password, otp_secret, acr, enrolment, parameters)

    def refresh(self, tokens: Tokens) -> Tokens:
        """New tokens for the session of these ones; LoginError when it has ended."""
        with self._answers():
            return self._tokens(grant_type="refresh_token", refresh_token=tokens.refresh_token)

    @contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise LoginError(no_answer("Keycloak", self._issuer)) from error

    def _login(
        self,
        organization: str,
        username: str,
        password: str,
        otp_secret: str | None,
        acr: str,
        enrolment: Enrolment | None,
        parameters: Mapping[str, str],
    ) -> Tokens:
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        sent_state = secrets.token_urlsafe(16)
        claims_request = {"id_token": {"acr": {"essential": True, "values": [acr]}}}
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "scope": f"openid organization:{organization}",
            "state": sent_state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "claims": json.dumps(claims_request),
            **parameters,
        }
        page = self._http.get(f"{self._endpoints}/auth?{urlencode(query)}")
        code = _walk(self._http, page, self._redirect_uri, sent_state, username, password, otp_secret, enrolment)
        tokens = self._tokens(
            grant_type="authorization_code", redirect_uri=self._redirect_uri, code=code, code_verifier=verifier
        )
        if tokens.claims.get("acr") != acr:
            raise LoginError(f"asked for acr {acr}, got {tokens.claims.get('acr')}")
        return tokens

    def _tokens(self, **form: str) -> Tokens:
        answer = self._http.post(f"{self._endpoints}/token", data={"client_id": self._client_id, **form})
        if answer.is_error:
            raise LoginError(f"no token is given: {_oauth_error(answer)}")
        body = answer.json()
        return Tokens(
            access_token=body["access_token"],
            refresh_token=body.get("refresh_token", ""),
            id_token=body.get("id_token", ""),
            expires_in=int(body["expires_in"]),
            claims=_payload(body["access_token"]),
        )


def login_account(state: State, who: str | Account, acr: str = "1") -> Tokens:
    """Logs a demo account of a local stack in, by its username or its entry in the state file."""
    entry = account(state, who) if isinstance(who, str) else who
    return login(
        issuer=state["urls"]["issuer"],
        username=entry["username"],
        password=entry["password"],
        otp_secret=entry["otp_secret"],
        organization=entry["association"]["alias"],
        acr=acr,
    )


def one_time_code(secret: str) -> str:
    """A code that is valid now and that this process has not given yet: a code works once.

    The server also takes the code of the next period (its look-ahead is 1), so two logins in a row need not wait; a
    third within the same half minute does.
    """
    totp = pyotp.TOTP(secret, interval=_TOTP_STEP_SECONDS)
    with _codes_lock:
        while True:
            now = int(time.time() // _TOTP_STEP_SECONDS)
            step = max(now, _last_step.get(secret, 0) + 1)
            if step <= now + 1:
                _last_step[secret] = step
                return totp.generate_otp(step)
            time.sleep((step - 1) * _TOTP_STEP_SECONDS - time.time() + 0.1)


def _as_a_browser_does(http: httpx.Client) -> None:
    """Browsers send `Secure` cookies to their own machine over plain HTTP too. (httpx copies its jar for each request
    and drops the policy that could say so.)"""
    for cookie in http.cookies.jar:
        cookie.secure = False


def _walk(
    http: httpx.Client,
    page: httpx.Response,
    redirect_uri: str,
    sent_state: str,
    username: str,
    password: str,
    otp_secret: str | None,
    enrolment: Enrolment | None,
) -> str:
    """Answers the pages of the login until it redirects back with a code."""
    answers = {"username": username, "password": password, "credentialId": ""}
    seen: list[frozenset[str]] = []
    for _ in range(12):  # a login has at most user name, password, code and a few redirects
        if page.is_redirect:
            target = page.headers["location"]
            if target.startswith(redirect_uri):
                return _code(target, sent_state)
            page = http.get(target)
            continue
        form = _FORM.search(page.text)
        if form is None or page.is_error:
            raise LoginError(f"the login page answered HTTP {page.status_code}: {_feedback(page.text)}")
        asked = frozenset(_INPUT.findall(form["body"]))
        # The same question again is a refusal of the answer. A code may have been used up by another process, or its period have
        # ended on the way: one more.
        if seen.count(asked) > bool(asked & {"otp", "totp"}):
            raise LoginError(_feedback(page.text))
        seen.append(asked)
        if "otp" in asked:
            if otp_secret is None:
                raise LoginError("the login asks for a one-time code and the account has no known secret")
            filled = {"otp": one_time_code(otp_secret)}
        elif asked & {"username", "password"}:
            filled = {name: answers[name] for name in asked & answers.keys()}
        elif enrolment is not None and (chosen := enrolment.answer(form["body"])) is not None:
            filled = chosen
        else:
            raise LoginError(
                f"the account must do something first: {_feedback(page.text)} (asked: {', '.join(sorted(asked))})"
            )
        page = http.post(html.unescape(form["action"]), data=filled)
    raise LoginError("the login did not end")


def _code(target: str, sent_state: str) -> str:
    answer = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    if answer.get("state") != sent_state:
        raise LoginError("the answer belongs to another login (state differs)")
    if "code" not in answer:
        raise LoginError(f"{answer.get('error')}: {answer.get('error_description', '')}")
    return answer["code"]


def _feedback(page: str) -> str:
    found = _FEEDBACK.search(page)
    text = re.sub(r"<[^>]+>", " ", found["text"]) if found else ""
    return " ".join(html.unescape(text).split()) or "refused, without a reason on the page"


def _oauth_error(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}"
    return f"{body.get('error')} {body.get('error_description', '')}".strip()


def _payload(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded
