"""Authentication flows, which Keycloak's API builds step by step and cannot replace as a whole.

The flow of the realm has its content's hash in its name. Another content is another flow: it is built beside the one in
use, taken into use in one step, and the old one is removed; nobody meets a half-built login.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

from dui_keycloak.connection import Administration

Json = dict[str, Any]


def flow_alias(definition: Json) -> str:
    """The name of the flow: that of the definition with the hash of its content."""
    content = json.dumps(definition, sort_keys=True).encode()
    return f"{definition['alias']}-{hashlib.sha256(content).hexdigest()[:8]}"


def flow_intact(administration: Administration, definition: Json) -> bool:
    """Whether the flow exists and has the steps that its definition says (somebody may have edited it)."""
    alias = flow_alias(definition)
    found = administration.get(f"/authentication/flows/{quote(alias)}/executions")
    if found is None:
        return False
    wanted = list(_flat(definition["executions"], 0))
    return len(wanted) == len(found) and all(
        _same(administration, alias, one, other) for one, other in zip(wanted, found, strict=True)
    )


def build_flow(administration: Administration, definition: Json) -> None:
    """Makes the flow from nothing; an edited one of the same name is removed first (it must not be in use)."""
    alias = flow_alias(definition)
    _remove(administration, [alias])
    flow = {
        "alias": alias,
        "description": definition["description"],
        "providerId": "basic-flow",
        "topLevel": True,
        "builtIn": False,
    }
    administration.post("/authentication/flows", flow)
    _fill(administration, alias, alias, definition["executions"])


def remove_other_flows(administration: Administration, definition: Json) -> list[str]:
    """Removes earlier versions of the flow, and returns their names."""
    keep, prefix = flow_alias(definition), f"{definition['alias']}-"
    flows = administration.get("/authentication/flows")
    others = [flow["alias"] for flow in flows if flow["alias"].startswith(prefix) and flow["alias"] != keep]
    _remove(administration, others)
    return others


def _remove(administration: Administration, aliases: list[str]) -> None:
    for flow in administration.get("/authentication/flows"):
        if flow["alias"] in aliases:
            administration.delete(f"/authentication/flows/{flow['id']}")


def _fill(administration: Administration, top: str, parent: str, executions: list[Json]) -> None:
    for wanted in executions:
        if "flow" in wanted:
            body = {
                "alias": _sub_alias(top, wanted),
                "type": "basic-flow",
                "provider": "registration-page-form",
                "description": "",
            }
            administration.post(f"/authentication/flows/{quote(parent)}/executions/flow", body)
        else:
            administration.post(
                f"/authentication/flows/{quote(parent)}/executions/execution", {"provider": wanted["authenticator"]}
            )
        made = administration.get(f"/authentication/flows/{quote(parent)}/executions")
        # The list goes down into subflows: the newest of this level is the last one at level 0.
        execution = [each for each in made if each["level"] == 0][-1]
        execution["requirement"] = wanted["requirement"]
        administration.put(f"/authentication/flows/{quote(parent)}/executions", execution)
        if config := wanted.get("config"):
            alias = f"{top} {wanted['authenticator']} {execution['id'][:8]}"
            administration.post(
                f"/authentication/executions/{execution['id']}/config", {"alias": alias, "config": config}
            )
        if "flow" in wanted:
            _fill(administration, top, _sub_alias(top, wanted), wanted["executions"])


def _sub_alias(top: str, wanted: Json) -> str:
    """Names of flows are unique in a realm, those of subflows too."""
    return f"{top} {wanted['flow']}"


def _flat(executions: list[Json], level: int) -> Any:
    for each in executions:
        yield level, each
        yield from _flat(each.get("executions", []), level + 1)


def _same(administration: Administration, top: str, wanted: tuple[int, Json], found: Json) -> bool:
    level, step = wanted
    if found["level"] != level or found["requirement"] != step["requirement"]:
        return False
    if "flow" in step:
        return bool(found.get("displayName") == _sub_alias(top, step))
    if found.get("providerId") != step["authenticator"]:
        return False
    if config := step.get("config"):
        if "authenticationConfig" not in found:
            return False
        return bool(administration.get(f"/authentication/config/{found['authenticationConfig']}")["config"] == config)
    return True
