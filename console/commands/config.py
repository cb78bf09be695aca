"""`limegrove config`: the settings in force, and where each of them comes from."""

import argparse

from console.commands.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `config`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    show = verbs.add_parser("show", help="each setting, its value and its source; passwords are hidden")
    show.set_defaults(verb="show")


def run(session: Session) -> int:
    """Print {name, value, source} for every setting, and say which file was looked for."""
    from console.settings import settings_file

    settings = session.settings
    session.show_rows(settings.shown(), ["name", "value", "source"])
    if session.output == "table":
        file = settings_file()
        session.say(f"settings file: {file}{'' if file.exists() else ' (there is none)'}")
    return 0
