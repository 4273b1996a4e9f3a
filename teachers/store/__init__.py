"""The label store: every paid answer on disk, and the commands that look into it."""
