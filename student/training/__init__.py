"""A training run: its folder, state, checkpoints, metrics, progress and evaluation."""
