"""How good a teacher is on its own: measures, probes, a verdict and a report worth sharing.

Names are imported on first use: ``lvlm2p evaluate --help`` needs the configuration alone.
"""

from lvlm2p.envs.extras import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
