"""`python -m divscale`."""

import sys

from divscale.cli import main

sys.exit(main())
