"""Who answers: teachers, their labels, and the store that every paid answer goes to.

Nothing heavy is imported until it is used; torch never is by this package's interface.
"""

from lvlm2p.envs.extras import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
