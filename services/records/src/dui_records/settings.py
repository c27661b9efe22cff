"""Settings of the records service: those of every service, and where medication is asked."""

from __future__ import annotations

from dui_kit.settings import ServiceSettings


class RecordsSettings(ServiceSettings):
    """Environment variables `DUI_*`; see dui_kit.settings."""

    #: gRPC target of medication, asked what a person takes.
    medication_target: str = ""

    def required(self, command: str) -> tuple[str, ...]:
        """The worker asks medication too, and seals what it is told."""
        match command:
            case "worker":
                return ("medication_target", "oidc_issuer", "oidc_client_id", "oidc_client_secret", "sealing_key")
            case "serve" | "check":
                return ("medication_target",)
            case _:
                return ()
