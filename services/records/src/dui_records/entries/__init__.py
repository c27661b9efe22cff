"""What every versioned entry of a record does: add, read, list, correct, history."""
