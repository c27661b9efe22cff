"""What the realm is told from outside: addresses that are too wide are refused before Keycloak hears of them."""

from __future__ import annotations

import pytest
from dui_keycloak.settings import SettingsError, from_environment

ENVIRONMENT = {
    "DUI_KEYCLOAK_URL": "https://login.example.org",
    "DUI_KEYCLOAK_ADMIN_CLIENT_ID": "operator",
    "DUI_KEYCLOAK_ADMIN_CLIENT_SECRET": "secret",
    "DUI_KEYCLOAK_CLIENT_SECRET_RECORDS": "secret",
    "DUI_WEB_REDIRECT_URIS": "https://dui.example.org/*, https://dui.example.org/silent",
    "DUI_WEB_ORIGINS": "https://dui.example.org",
}


def test_an_application_on_the_web_or_on_this_machine_is_taken() -> None:
    settings = from_environment(ENVIRONMENT)
    assert settings.web_redirect_uris == ("https://dui.example.org/*", "https://dui.example.org/silent")
    local = {"DUI_WEB_REDIRECT_URIS": "http://127.0.0.1:5173/*", "DUI_WEB_ORIGINS": "http://localhost:5173"}
    assert from_environment(ENVIRONMENT | local).web_origins == ("http://localhost:5173",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DUI_WEB_REDIRECT_URIS", "*"),
        ("DUI_WEB_REDIRECT_URIS", "https://*"),
        ("DUI_WEB_REDIRECT_URIS", "https://*.example.org/*"),
        ("DUI_WEB_REDIRECT_URIS", "https://dui.example.org*"),
        ("DUI_WEB_REDIRECT_URIS", "https://dui.example.org/*/back"),
        ("DUI_WEB_REDIRECT_URIS", "http://dui.example.org/*"),
        ("DUI_WEB_REDIRECT_URIS", "https:///back"),
        ("DUI_WEB_REDIRECT_URIS", ","),
        ("DUI_WEB_ORIGINS", "*"),
        ("DUI_WEB_ORIGINS", "+"),
        ("DUI_WEB_ORIGINS", "https://dui.example.org/*"),
        ("DUI_WEB_ORIGINS", "https://dui.example.org/"),
        ("DUI_WEB_ORIGINS", "http://dui.example.org"),
    ],
)
def test_an_address_that_would_let_tokens_go_anywhere_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError):
        from_environment(ENVIRONMENT | {name: value})
