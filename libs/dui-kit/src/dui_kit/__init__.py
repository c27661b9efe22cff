"""The shared kit of the DUI services: guard, database, outbox, consumers, telemetry."""
