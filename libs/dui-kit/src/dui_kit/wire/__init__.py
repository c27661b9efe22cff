"""What the gateway and the services share: how callers are known, how refusals are told, how calls are watched. No database."""
