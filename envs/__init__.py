"""Tasks, views, environments and exact planners: what is seen and done.

The lowest layer: nothing here imports from the other packages. The public names are listed in
``__init__.pyi`` and imported on first use, so that importing the package costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
