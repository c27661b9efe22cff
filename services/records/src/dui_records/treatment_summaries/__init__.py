"""What a person takes, in one look: as medication says it now or, while it is away, as it said it last."""
