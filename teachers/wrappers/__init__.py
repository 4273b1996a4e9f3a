"""Teachers around teachers: the store, symmetry, calibration."""
