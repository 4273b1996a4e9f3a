"""``python tests/support/without.py torch,litellm COMMAND ...``: lvlm2p where these packages are
not installed. ``-c CODE`` in place of a command runs code.

Only what looks packages up on disk is replaced, so that `find_spec` finds nothing and an import
says what it always says of a package that is not there.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any


class OtherPackages:
    """The finder of packages on disk, without some."""

    def __init__(self, absent: set[str]) -> None:
        self.absent = absent

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See :class:`importlib.abc.MetaPathFinder`."""
        if name.partition(".")[0] in self.absent:
            return None
        return PathFinder.find_spec(name, path, target)

    def find_distributions(self, *args: Any, **kwargs: Any) -> Any:
        """What is installed, by its metadata."""
        found = PathFinder.find_distributions(*args, **kwargs)
        return (one for one in found if one.metadata["Name"].replace("-", "_") not in self.absent)


if __name__ == "__main__":
    sys.meta_path[sys.meta_path.index(PathFinder)] = OtherPackages(set(sys.argv[1].split(",")))
    if sys.argv[2] == "-c":
        exec(sys.argv[3])  # noqa: S102 - this test's own code
        sys.exit()
    from lvlm2p.cli import main

    sys.exit(main(sys.argv[2:]))
