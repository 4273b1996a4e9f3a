"""``python -m lvlm2p``: the command line."""

import sys

from lvlm2p.cli import main

sys.exit(main())
