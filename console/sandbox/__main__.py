"""`python -m console.sandbox`: the sandbox without the rest of limegrove."""

import argparse
import sys

from console.commands.parser import DEFAULTS
from console.commands.sandbox import configure, run
from console.commands.session import Session

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m console.sandbox")
    configure(parser)
    sys.exit(run(Session(argparse.Namespace(**(DEFAULTS | {"noun": "sandbox"} | vars(parser.parse_args()))))))
