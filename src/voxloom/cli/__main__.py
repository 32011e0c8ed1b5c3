"""``python -m voxloom.cli``, where the command is not in the path."""

import sys

from voxloom.cli import main

# Worker processes import this module again, and must not run the command again.
if __name__ == "__main__":
    sys.exit(main())
