"""The Keycloak realm of the platform as code."""
