"""A film of a trained student: what it sees, what it does, and what it would rather have done."""
