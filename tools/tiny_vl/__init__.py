"""Makes ``teachers/tiny_vl/checkpoint``: data, model, training, evaluation, export.

``python -m tools.tiny_vl.train --seed 0`` does all of it.
"""
