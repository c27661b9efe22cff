"""DUI gateway: REST, OpenAPI and authentication, derived from the contract."""
