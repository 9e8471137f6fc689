"""Runs the command line: `python -m event_trigger`."""

import sys

from event_trigger.cli import main

if __name__ == "__main__":
    sys.exit(main())
