"""Settings of the records service: those of every service."""

from __future__ import annotations

from dui_kit.settings import ServiceSettings


class RecordsSettings(ServiceSettings):
    """Environment variables `DUI_*`; see dui_kit.settings."""
