"""`python -m console.sandbox`: the sandbox without the rest of limegrove."""

import argparse
import sys

from console.commands.parser import DEFAULTS
from console.commands.problem import Problem
from console.commands.sandbox import configure, run
from console.commands.session import Session
from store.text import safe_text

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m console.sandbox")
    configure(parser)
    arguments = argparse.Namespace(**(DEFAULTS | {"noun": "sandbox"} | vars(parser.parse_args())))
    try:
        sys.exit(run(Session(arguments)))
    except Problem as problem:
        print(f"limegrove: {safe_text(str(problem))}", file=sys.stderr)
        sys.exit(problem.code)
