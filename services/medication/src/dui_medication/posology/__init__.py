"""The posology of a prescribed line: how much, when, for how long; what is due of it, in which unit and in which words."""
