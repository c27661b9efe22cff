"""The realm on a real Keycloak: what a token says, what it does not, who gets none.

Run with `python -m dui_local run --infra -- pytest deploy/keycloak`.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import jwt
import pyotp
import pytest
from dui_keycloak import definition
from dui_keycloak.connection import Administration
from dui_keycloak.reconcile import check, reconcile
from dui_keycloak.settings import Settings
from dui_kit.settings import ServiceSettings
from dui_local.realm import settings as settings_of
from dui_ops.login import Browser, LoginError, Tokens, login
from dui_ops.state import State, load, state_path
from keycloak import KeycloakAdmin
from keycloak.exceptions import KeycloakError


@dataclass(frozen=True, slots=True)
class Organization:
    alias: str
    organization_id: str
    tenant_id: str


@dataclass(frozen=True, slots=True)
class Person:
    """An account, and how it logs in."""

    username: str
    password: str
    subject: str
    otp_secret: str | None
    issuer: str

    def login(self, organization: str, acr: str = "1") -> Tokens:
        return login(
            issuer=self.issuer,
            username=self.username,
            password=self.password,
            otp_secret=self.otp_secret,
            organization=organization,
            acr=acr,
        )

    def in_browser(self, browser: Browser, organization: str, acr: str = "1", **parameters: str) -> Tokens:
        """A login in a browser that may know them already."""
        return browser.login(
            username=self.username,
            password=self.password,
            otp_secret=self.otp_secret,
            organization=organization,
            acr=acr,
            **parameters,
        )


MakeOrganization = Callable[[], Organization]
MakePerson = Callable[..., Person]


@pytest.fixture(scope="session")
def state() -> State:
    if not state_path().exists():
        pytest.skip("needs a stack: python -m dui_local run --infra -- pytest …")
    return load()


@pytest.fixture(scope="session")
def settings(state: State) -> Settings:
    return settings_of(state)


@pytest.fixture(scope="session")
def keycloak_log(state: State) -> Path:
    return Path(state["programs"]["keycloak"]["log"])


@pytest.fixture(scope="session")
def identity(state: State) -> KeycloakAdmin:
    """Keycloak as the identity service sees it: with the rights of its own service account, and no more."""
    return service_account(state, "identity")


def service_account(state: State, name: str) -> KeycloakAdmin:
    service = state["services"][name]
    return KeycloakAdmin(
        server_url=state["urls"]["keycloak"],
        client_id=service["client_id"],
        client_secret_key=service["client_secret"],
        realm_name=state["keycloak"]["realm"],
        user_realm_name=state["keycloak"]["realm"],
    )


@pytest.fixture
def make_organization(identity: KeycloakAdmin) -> MakeOrganization:
    def make() -> Organization:
        alias, tenant_id = f"asso-{secrets.token_hex(6)}", str(uuid.uuid4())
        identity.create_organization(
            {
                "name": alias,
                "alias": alias,
                "enabled": True,
                "domains": [{"name": f"{alias}.test", "verified": False}],
                "attributes": {"tenant_id": [tenant_id]},
            }
        )
        found = [each for each in identity.get_organizations(query={"search": alias}) if each["alias"] == alias]
        return Organization(alias, found[0]["id"], tenant_id)

    return make


@pytest.fixture
def make_person(identity: KeycloakAdmin, state: State) -> MakePerson:
    def make(*organizations: Organization, otp: bool = False) -> Person:
        username, password = f"person-{secrets.token_hex(6)}", f"Mot de passe {secrets.token_hex(6)}"
        otp_secret = pyotp.random_base32() if otp else None
        credentials: list[dict[str, object]] = [{"type": "password", "value": password, "temporary": False}]
        if otp_secret is not None:
            credentials.append(totp_credential(otp_secret))
        subject = identity.create_user(
            {
                "username": username,
                "firstName": "Ségolène",
                "lastName": "Vandenbrouck",
                "enabled": True,
                "credentials": credentials,
            }
        )
        for organization in organizations:
            identity.organization_user_add(user_id=subject, organization_id=organization.organization_id)
        return Person(username, password, subject, otp_secret, state["urls"]["issuer"])

    return make


def totp_credential(secret: str) -> dict[str, object]:
    """A one-time code credential in the form that Keycloak imports. The secret is given in base32, as people type it;
    Keycloak keeps the bytes and is told so."""
    return {
        "type": "otp",
        "userLabel": "test",
        "secretData": f'{{"value":"{secret}"}}',
        "credentialData": '{"subType":"totp","digits":6,"counter":0,"period":30,"algorithm":"HmacSHA1","secretEncoding":"BASE32"}',
    }


def test_the_token_of_a_member_names_the_association_the_audience_and_the_level(
    state: State, make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    association = make_organization()
    person = make_person(association)
    tokens = person.login(association.alias)
    signing_key = jwt.PyJWKClient(state["urls"]["jwks"]).get_signing_key_from_jwt(tokens.access_token)
    claims = jwt.decode(
        tokens.access_token, signing_key, algorithms=["RS256"], audience="dui-api", issuer=state["urls"]["issuer"]
    )
    assert claims["sub"] == person.subject
    assert claims["azp"] == "dui-cli"
    assert claims["acr"] == "1"
    assert claims["exp"] - claims["iat"] == 300
    assert claims["organization"] == {
        association.alias: {"id": association.organization_id, "tenant_id": [association.tenant_id]}
    }


def test_a_token_says_nothing_of_the_person_but_the_subject(
    make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    association = make_organization()
    person = make_person(association)
    claims = person.login(association.alias).claims
    assert not claims.keys() & {"name", "given_name", "family_name", "email", "preferred_username", "phone_number"}
    assert person.username not in str(claims)
    assert "realm_access" not in claims
    assert "resource_access" not in claims


def test_a_member_of_two_associations_gets_the_one_that_was_asked_for(
    make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    first, second = make_organization(), make_organization()
    person = make_person(first, second)
    assert list(person.login(first.alias).claims["organization"]) == [first.alias]
    assert list(person.login(second.alias).claims["organization"]) == [second.alias]


def test_somebody_of_another_association_gets_no_claim_for_it(
    make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    own, other = make_organization(), make_organization()
    try:
        claims = make_person(own).login(other.alias).claims
    except LoginError:
        return  # refused outright is as good
    assert other.alias not in claims.get("organization", {})


def test_the_second_level_takes_a_one_time_code(make_organization: MakeOrganization, make_person: MakePerson) -> None:
    association = make_organization()
    person = make_person(association, otp=True)
    assert person.login(association.alias, acr="2").claims["acr"] == "2"
    assert person.login(association.alias, acr="1").claims["acr"] == "1"


class TestTheSecondFactor:
    """A stolen password stops at level 1: who has it enrols no device with it."""

    @pytest.mark.parametrize(
        ("language", "text"),
        [("fr", "Ce compte n’a pas de second facteur"), ("en", "This account has no second factor")],
    )
    def test_who_has_no_device_is_refused_the_second_level_and_told_why(
        self, make_organization: MakeOrganization, make_person: MakePerson, language: str, text: str
    ) -> None:
        association = make_organization()
        person = make_person(association)
        with Browser(person.issuer) as browser, pytest.raises(LoginError, match=text):
            person.in_browser(browser, association.alias, acr="2", ui_locales=language)
        assert person.login(association.alias).claims["acr"] == "1"

    def test_nor_in_a_session_that_is_open(self, make_organization: MakeOrganization, make_person: MakePerson) -> None:
        association = make_organization()
        person = make_person(association)
        with Browser(person.issuer) as browser:
            person.in_browser(browser, association.alias)
            with pytest.raises(LoginError, match="no second factor"):
                browser.login(organization=association.alias, acr="2")

    @pytest.mark.parametrize("session", [False, True])
    def test_asking_to_enrol_a_device_takes_the_second_level_too(
        self, identity: KeycloakAdmin, make_organization: MakeOrganization, make_person: MakePerson, session: bool
    ) -> None:
        association = make_organization()
        person = make_person(association)
        with Browser(person.issuer) as browser:
            if session:
                person.in_browser(browser, association.alias)
            with pytest.raises(LoginError, match="no second factor"):
                person.in_browser(browser, association.alias, kc_action="CONFIGURE_TOTP")
        assert [each["type"] for each in identity.get_credentials(person.subject)] == ["password"]

    def test_who_has_a_device_adds_another_with_both_factors_even_in_a_session_that_is_open(
        self, make_organization: MakeOrganization, make_person: MakePerson
    ) -> None:
        association = make_organization()
        person = make_person(association, otp=True)
        enrols = r"must do something first.*totpSecret"
        with Browser(person.issuer) as browser:
            tokens = person.in_browser(browser, association.alias, acr="2")
            while time.time() < tokens.claims["auth_time"] + 1:  # Keycloak counts whole seconds
                time.sleep(0.05)
            with pytest.raises(LoginError) as asked:
                browser.login(organization=association.alias, acr="2", kc_action="CONFIGURE_TOTP")
            assert "totpSecret" not in str(asked.value)
            with pytest.raises(LoginError, match=enrols):
                person.in_browser(browser, association.alias, acr="2", kc_action="CONFIGURE_TOTP")

    @pytest.mark.parametrize(
        "action",
        [
            "webauthn-register",
            "webauthn-register-passwordless",
            "CONFIGURE_RECOVERY_AUTHN_CODES",
            "delete_credential",
            "delete_account",
            "idp_link",
            "UPDATE_EMAIL",
            "UPDATE_PROFILE",
            "VERIFY_EMAIL",
            "VERIFY_PROFILE",
        ],
    )
    def test_nothing_else_can_be_asked_for(
        self, make_organization: MakeOrganization, make_person: MakePerson, action: str
    ) -> None:
        association = make_organization()
        person = make_person(association)
        with Browser(person.issuer) as browser:
            assert person.in_browser(browser, association.alias, kc_action=action).claims["acr"] == "1"


class TestWhenALevelWasReached:
    def test_a_code_renews_it_and_neither_a_refresh_nor_a_password_does(
        self, make_organization: MakeOrganization, make_person: MakePerson
    ) -> None:
        association = make_organization()
        person = make_person(association, otp=True)

        def next_second(tokens: Tokens) -> None:
            while time.time() < tokens.claims["iat"] + 1:  # tokens count whole seconds
                time.sleep(0.05)

        with Browser(person.issuer) as browser:
            first = person.in_browser(browser, association.alias)
            assert first.claims["acr_times"] == {"1": first.claims["auth_time"]}
            next_second(first)
            stepped_up = person.in_browser(browser, association.alias, acr="2")
            code_at = stepped_up.claims["acr_times"]["2"]
            assert stepped_up.claims["acr_times"]["1"] == first.claims["acr_times"]["1"]
            assert first.claims["iat"] < code_at <= stepped_up.claims["iat"]
            next_second(stepped_up)
            refreshed = browser.refresh(stepped_up)
            assert refreshed.claims["acr"] == "2"
            assert refreshed.claims["iat"] > stepped_up.claims["iat"]
            assert refreshed.claims["acr_times"] == stepped_up.claims["acr_times"]
            # A password typed again makes `auth_time` new, and the level of before comes back without a code.
            person.in_browser(browser, association.alias, prompt="login")
            again = browser.login(organization=association.alias, acr="2")
            assert again.claims["auth_time"] > code_at
            assert again.claims["acr_times"]["2"] == code_at

    def test_services_take_a_code_for_as_long_as_the_realm_gives_tokens_of_it(self, settings: Settings) -> None:
        """Otherwise somebody would be asked for a code by a service, and not by the login that they are sent to."""
        wanted = definition.load(settings)

        def ages(executions: list[dict[str, Any]]) -> dict[str, int]:
            found: dict[str, int] = {}
            for each in executions:
                config = each.get("config", {})
                if "loa-max-age" in config:
                    found[config["loa-condition-level"]] = int(config["loa-max-age"])
                found |= ages(each.get("executions", []))
            return found

        age = ages(wanted.browser_flow["executions"])
        assert age["2"] + wanted.realm["accessTokenLifespan"] <= ServiceSettings().step_up_seconds
        assert age["1"] >= wanted.realm["ssoSessionMaxLifespan"]  # a password holds for the session


def test_who_is_logged_in_names_their_association_and_is_asked_for_nothing(
    make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    first, second = make_organization(), make_organization()
    person = make_person(first, second)
    with Browser(person.issuer) as browser:
        person.in_browser(browser, first.alias)
        assert list(browser.login(organization=first.alias).claims["organization"]) == [first.alias]
        assert list(browser.login(organization=second.alias, prompt="none").claims["organization"]) == [second.alias]


def test_a_wrong_one_time_code_gives_no_token(
    state: State, make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    association = make_organization()
    person = make_person(association, otp=True)
    with pytest.raises(LoginError):
        login(
            issuer=person.issuer,
            username=person.username,
            password=person.password,
            otp_secret="JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            organization=association.alias,
            acr="2",
        )


def test_a_wrong_password_gives_no_token(make_organization: MakeOrganization, make_person: MakePerson) -> None:
    association = make_organization()
    person = make_person(association)
    with pytest.raises(LoginError, match=r"(?i)invalid|incorrect"):
        login(issuer=person.issuer, username=person.username, password="pas le bon", organization=association.alias)


def test_too_many_wrong_passwords_close_the_account_for_a_while(
    make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    association = make_organization()
    person = make_person(association)
    for _ in range(6):
        with pytest.raises(LoginError):
            login(issuer=person.issuer, username=person.username, password="pas le bon", organization=association.alias)
    with pytest.raises(LoginError):
        person.login(association.alias)


def test_no_client_takes_a_password_in_place_of_the_login(
    state: State, settings: Settings, make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    person = make_person(make_organization())
    clients = Administration(settings).get("/clients")
    assert {"dui-web", "dui-cli", "dui-identity", "admin-cli"} <= {client["clientId"] for client in clients}
    for client in clients:
        form = {
            "grant_type": "password",
            "client_id": client["clientId"],
            "username": person.username,
            "password": person.password,
        }
        if not client["publicClient"]:
            form["client_secret"] = client.get("secret", "")
        answer = httpx.post(f"{state['urls']['issuer']}/protocol/openid-connect/token", data=form)
        assert answer.status_code in {400, 401}, client["clientId"]
        assert "access_token" not in answer.text


@pytest.mark.parametrize("client_id", ["dui-web", "dui-cli"])
@pytest.mark.parametrize("challenge", [{}, {"code_challenge": "x" * 43, "code_challenge_method": "plain"}])
def test_a_login_without_a_hashed_pkce_challenge_is_refused(
    state: State, settings: Settings, client_id: str, challenge: dict[str, str]
) -> None:
    redirect = "http://127.0.0.1/callback" if client_id == "dui-cli" else f"{state['urls']['gateway']}/"
    query = {"response_type": "code", "client_id": client_id, "scope": "openid", "redirect_uri": redirect, **challenge}
    answer = httpx.get(f"{state['urls']['issuer']}/protocol/openid-connect/auth?{urlencode(query)}")
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(redirect)
    assert "error=invalid_request" in answer.headers["location"]


@pytest.mark.parametrize("scope", ["profile", "email", "roles", "offline_access"])
def test_no_scope_puts_a_name_or_a_lasting_session_into_a_token(
    make_organization: MakeOrganization, make_person: MakePerson, scope: str
) -> None:
    association = make_organization()
    person = make_person(association)
    with Browser(person.issuer) as browser, pytest.raises(LoginError, match="invalid_scope"):
        person.in_browser(browser, association.alias, scope=f"openid {scope} organization:{association.alias}")


def test_two_people_may_have_one_address_and_it_is_no_login(
    identity: KeycloakAdmin, make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    association = make_organization()
    people = [make_person(association) for _ in range(2)]
    address = f"{secrets.token_hex(6)}@example.org"
    for person in people:
        identity.update_user(person.subject, {**identity.get_user(person.subject), "email": address})
        assert person.login(association.alias).claims["sub"] == person.subject
    with pytest.raises(LoginError, match=r"(?i)invalid"):
        login(issuer=people[0].issuer, username=address, password=people[0].password, organization=association.alias)


@pytest.mark.parametrize(
    ("client_id", "redirect"),
    [
        ("account", "/realms/{realm}/account/"),
        ("account-console", "/realms/{realm}/account/"),
        ("security-admin-console", "/admin/{realm}/console/"),
    ],
)
def test_keycloaks_own_applications_are_closed(state: State, client_id: str, redirect: str) -> None:
    query = {
        "response_type": "code",
        "client_id": client_id,
        "scope": "openid",
        "redirect_uri": state["urls"]["keycloak"] + redirect.format(realm=state["keycloak"]["realm"]),
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    answer = httpx.get(f"{state['urls']['issuer']}/protocol/openid-connect/auth?{urlencode(query)}")
    assert answer.status_code in {400, 403}
    assert 'name="password"' not in answer.text


def test_nobody_registers_a_client(state: State) -> None:
    answer = httpx.post(
        f"{state['urls']['issuer']}/clients-registrations/openid-connect",
        json={"redirect_uris": ["https://evil.test/"]},
    )
    assert answer.status_code == 403


def test_a_redirect_to_somewhere_else_is_refused(state: State) -> None:
    query = {"response_type": "code", "client_id": "dui-web", "scope": "openid", "redirect_uri": "https://evil.test/"}
    answer = httpx.get(f"{state['urls']['issuer']}/protocol/openid-connect/auth?{urlencode(query)}")
    assert answer.status_code == 400


@pytest.mark.alone
def test_a_service_account_has_the_system_role_and_a_person_cannot_keep_it(
    state: State, settings: Settings, make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    service = state["services"]["records"]
    answer = httpx.post(
        f"{state['urls']['issuer']}/protocol/openid-connect/token",
        data={
            "grant_type": "client_credentials",
            "client_id": service["client_id"],
            "client_secret": service["client_secret"],
        },
    )
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert "dui-system" in claims["realm_access"]["roles"]
    assert claims["azp"] == "dui-records"
    assert "dui-api" in ([claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"])
    assert "organization" not in claims

    administration = Administration(settings)
    person = make_person(make_organization())
    role = administration.get("/roles/dui-system")
    administration.post(f"/users/{person.subject}/role-mappings/realm", [role])
    drift = check(settings)
    assert any(person.subject in line for line in drift)
    reconcile(settings)
    held = administration.get(f"/users/{person.subject}/role-mappings/realm")
    assert "dui-system" not in {each["name"] for each in held}


def test_only_identity_may_administer_accounts(state: State, identity: KeycloakAdmin) -> None:
    assert isinstance(identity.users_count(), int)
    with pytest.raises(KeycloakError, match="403"):
        service_account(state, "records").users_count()


@pytest.mark.alone
def test_reconciling_again_changes_nothing_and_loses_nobody(
    settings: Settings, make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    association = make_organization()
    person = make_person(association)
    reconcile(settings)
    assert reconcile(settings) == []
    assert check(settings) == []
    assert list(person.login(association.alias).claims["organization"]) == [association.alias]


@pytest.mark.alone
def test_what_somebody_changed_by_hand_is_told_and_put_right(settings: Settings, state: State) -> None:
    administration = Administration(settings)
    administration.put("", {"failureFactor": 30, "passwordPolicy": "length(4)"})
    action = administration.get("/authentication/required-actions/webauthn-register")
    administration.put("/authentication/required-actions/webauthn-register", {**action, "enabled": True})
    console = administration.get("/clients", clientId="account-console")[0]
    administration.put(f"/clients/{console['id']}", {**console, "enabled": True})
    administration.post("/localization/fr", {"secondFactorMissing": "Non."})
    everybody = administration.get(f"/roles/default-roles-{state['keycloak']['realm']}")
    offline = administration.get("/roles/offline_access")
    administration.post(f"/roles-by-id/{everybody['id']}/composites", [offline])
    client = administration.get("/clients", clientId="dui-web")[0]
    administration.put(
        f"/clients/{client['id']}",
        {**client, "directAccessGrantsEnabled": True, "redirectUris": ["*"]},
    )
    flow = administration.get("")["browserFlow"]
    steps = administration.get(f"/authentication/flows/{flow}/executions")
    code = next(step for step in steps if step.get("providerId") == "auth-otp-form")
    administration.put(f"/authentication/flows/{flow}/executions", {**code, "requirement": "DISABLED"})

    told = "\n".join(check(settings))
    for part in (
        "failureFactor",
        "passwordPolicy",
        "directAccessGrantsEnabled",
        "redirectUris",
        "browser flow",
        "required action webauthn-register",
        "client account-console enabled",
        "messages fr secondFactorMissing",
        "offline_access",
    ):
        assert part in told
    assert reconcile(settings)
    assert check(settings) == []
    assert administration.get("")["failureFactor"] == 6
    assert administration.get("")["browserFlow"] == flow


def test_the_log_of_keycloak_names_nobody(
    keycloak_log: Path, make_organization: MakeOrganization, make_person: MakePerson
) -> None:
    association = make_organization()
    person = make_person(association)
    person.login(association.alias)
    with pytest.raises(LoginError):
        login(
            issuer=person.issuer,
            username=person.username,
            password=secrets.token_hex(),
            organization=association.alias,
        )
    text = keycloak_log.read_text(encoding="utf-8")
    assert "started in" in text  # it is the log of this server
    assert person.username not in text
    assert "Vandenbrouck" not in text
