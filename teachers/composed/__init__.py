"""Teachers that are made of teachers: ensembles and cascades."""
