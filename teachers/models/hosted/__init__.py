"""Models behind an API or on a local server."""
