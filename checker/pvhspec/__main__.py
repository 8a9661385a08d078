"""`python -m pvhspec` is the command `pvhspec`."""

import sys

from pvhspec.cli import main

if __name__ == "__main__":
    sys.exit(main())
