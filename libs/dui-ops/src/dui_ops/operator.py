"""Where an operator's command finds the platform: the environment (the settings of the chart), else the local stack."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dui_kit.settings import ServiceSettings

from dui_ops.state import StackError, State, load


def environment(service: str) -> Mapping[str, str]:
    """The settings of a service: those of this process where they are set, else those of the local stack."""
    if os.environ.get("DUI_DATABASE_URL"):
        return os.environ
    state: State = load()
    if service not in state["services"]:
        raise StackError(f"there is no service {service!r}: {', '.join(sorted(state['services']))}")
    return {**state["programs"][service]["env"], **_set_here()}


def settings(environment: Mapping[str, str]) -> ServiceSettings:
    """The settings of a service, read from its environment."""
    names = {field: f"DUI_{field.upper()}" for field in ServiceSettings.model_fields}
    given = {field: environment[name] for field, name in names.items() if name in environment}
    return ServiceSettings.model_validate(given)


def identity_target() -> str:
    """The gRPC target of identity: `DUI_IDENTITY_TARGET`, else that of the local stack."""
    if not os.environ.get("DUI_DATABASE_URL"):
        return load()["services"]["identity"]["target"]
    target = os.environ.get("DUI_IDENTITY_TARGET")
    if not target:
        raise StackError("DUI_IDENTITY_TARGET is not set: identity opens and closes associations")
    return target


def owner_urls() -> dict[str, str]:
    """The owner's database URL of every service: `DUI_<SERVICE>_DATABASE_OWNER_URL`, else those of the local stack."""
    suffix = "_DATABASE_OWNER_URL"
    given = {
        name.removeprefix("DUI_").removesuffix(suffix).lower(): value
        for name, value in os.environ.items()
        if name.startswith("DUI_") and name.endswith(suffix) and name != f"DUI{suffix}"
    }
    if given:
        return given
    state: State = load()
    return {name: service["database"]["owner_url"] for name, service in state["services"].items()}


def owner_url(service: str) -> str:
    """The database of a service, as its owner: identity's knows associations and journals, medication's the catalogue."""
    try:
        return owner_urls()[service]
    except KeyError:
        raise StackError(f"DUI_{service.upper()}_DATABASE_OWNER_URL is not set") from None


def nats_url() -> str:
    """NATS, as somebody who may read every stream."""
    return os.environ.get("DUI_NATS_URL") or load()["nats"]["admin_url"]


def _set_here() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("DUI_AUDIT_")}
