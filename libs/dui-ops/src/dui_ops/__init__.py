"""Operator's tools of the platform: logins for scripts, the local stack's state, health, and the `dui` command."""
