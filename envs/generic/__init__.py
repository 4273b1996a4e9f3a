"""A task for any Gymnasium environment, made from what the environment says of itself."""
