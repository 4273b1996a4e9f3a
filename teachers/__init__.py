"""Who answers: teachers, their labels, and the store that every paid answer goes to.

Nothing heavy is imported until it is used; torch never is by this package's interface.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
