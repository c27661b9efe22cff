"""The address that a program answers on."""

from __future__ import annotations

import grpc


def listen(server: grpc.Server, address: str, setting: str) -> int:
    """Takes the address and returns its port; ends the program with the setting to change when it cannot be had."""
    try:
        return server.add_insecure_port(address)
    except RuntimeError:  # gRPC's own text names neither the reason nor what to do
        message = f"cannot listen on {address}: set {setting} to a free port"
        raise SystemExit(message) from None
