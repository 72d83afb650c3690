"""Where the lines of a process go: to stderr, each with the process that wrote it."""

from __future__ import annotations

import logging
import os
import sys


def start(kind: str, level: str) -> None:
    """Log from `level` on (DEBUG, INFO, WARNING or ERROR) in the name of a process: web, worker, ticker, smtp or tick."""
    logging.basicConfig(level=level, format=f"%(asctime)s {kind}[{os.getpid()}] %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
