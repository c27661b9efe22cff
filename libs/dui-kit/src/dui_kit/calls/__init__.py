"""One call of a service: who may make it, what a method gets, and the server that takes it."""
