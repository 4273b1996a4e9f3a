"""Plans of options: tables of them, and what they do in a state."""
