"""The snapshot of the access facts that records owns."""
