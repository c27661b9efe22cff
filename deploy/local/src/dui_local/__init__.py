"""The local stack: the real PostgreSQL, NATS and Keycloak and the platform on top, supervised, without containers."""
