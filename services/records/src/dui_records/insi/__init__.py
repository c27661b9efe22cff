"""The national identity service (INSi): a port, what its answers do, and the evidence that is kept."""
