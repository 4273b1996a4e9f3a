"""How good a teacher is on its own: measures, probes, a verdict and a report worth sharing.

Names are imported on first use: ``lvlm2p evaluate --help`` needs the configuration alone.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
