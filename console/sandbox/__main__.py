"""`python -m console.sandbox serve`: the sandbox without the rest of limegrove."""

import argparse
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from console.commands.sandbox import configure, run

if TYPE_CHECKING:
    from console.commands.session import Session

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m console.sandbox")
    configure(parser)
    sys.exit(run(cast("Session", SimpleNamespace(arguments=parser.parse_args()))))
