"""Runs side by side: learning curves with confidence bands, and their sample efficiency."""
