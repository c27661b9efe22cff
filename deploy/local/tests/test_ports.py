"""Ports: settings, collisions, and the message for a busy one."""

from __future__ import annotations

import os
import socket

import pytest
from dui_local import ports
from dui_local.services import DEFAULT_PORTS
from dui_ops.state import StackError


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's own settings have no part in these tests."""
    for name in [name for name in os.environ if name.startswith("DUI_PORT_")]:
        monkeypatch.delenv(name)


def test_each_part_has_a_port_of_its_own() -> None:
    assert len(set(DEFAULT_PORTS.values())) == len(DEFAULT_PORTS)


def test_a_setting_moves_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUI_PORT_GATEWAY", "18080")
    assert ports.configured({"gateway": 8080, "nats": 4322}) == {"gateway": 18080, "nats": 4322}


@pytest.mark.parametrize("text", ["", "http", "-1", "0", "65536", "80 80"])
def test_a_setting_that_is_no_port_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DUI_PORT_NATS", text)
    with pytest.raises(StackError, match="DUI_PORT_NATS"):
        ports.configured({"nats": 4322})


def test_two_parts_on_one_port_are_refused_with_both_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUI_PORT_NATS", "8080")
    with pytest.raises(StackError, match="DUI_PORT_GATEWAY and DUI_PORT_NATS"):
        ports.configured({"gateway": 8080, "nats": 4322})


def test_a_busy_port_is_told_with_its_setting_and_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port} \(nats\).*process {os.getpid()}.*DUI_PORT_NATS"):
            ports.check_free({"nats": port})
    ports.check_free({"nats": port})


def test_two_runs_at_the_same_time_get_different_ports() -> None:
    with ports.reserved(DEFAULT_PORTS) as one, ports.reserved(DEFAULT_PORTS) as other:
        assert one.keys() == other.keys() == DEFAULT_PORTS.keys()
        assert not set(one.values()) & set(other.values())
