"""`limegrove config`: the settings in force and where each of them comes from, and every key."""

import argparse

from console.commands.problem import Problem
from console.commands.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `config`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    show = verbs.add_parser("show", help="each setting, its value and its source; passwords are hidden")
    show.set_defaults(verb="show")
    keys = verbs.add_parser(
        "keys",
        help="each binding: its id, its keys, what it does; [keys] of the settings changes them",
    )
    keys.set_defaults(verb="keys")


def run(session: Session) -> int:
    """Do what was asked; the settings file that was looked for is said below a table."""
    if session.arguments.verb == "keys":
        _keys(session)
    else:
        session.show_rows(session.settings.shown(), ["name", "value", "source"])
    if session.output == "table":
        from console.settings import settings_file

        file = settings_file()
        session.say(f"settings file: {file}{'' if file.exists() else ' (there is none)'}")
    return 0


def _keys(session: Session) -> None:
    """Print {view, id, keys, default, does, fixed} for every binding; keys as settings write them.

    Raises:
        Problem: the keys of the settings cannot be; the rows are printed with each binding's own, so that an
            id can be found.
    """
    from screens.keymap import KeymapError, bindings, in_force, judge
    from screens.keys import use_keymap, with_keys
    from store.text import safe_text

    wrong = ""
    try:
        keymap = judge(session.settings.keys)
    except KeymapError as error:
        keymap, wrong = {}, f"{session.settings.file}, [keys]: {error}"
    use_keymap(keymap)
    session.show_rows(
        [
            {
                "view": each.view,
                "id": each.id,
                "keys": ",".join(in_force(keymap, each)),
                "default": ",".join(each.keys),
                "does": with_keys(each.says),
                "fixed": each.fixed,
            }
            for each in bindings()
        ],
        ["view", "id", "keys", "default", "does"],
    )
    if wrong:
        raise Problem(safe_text(wrong, 1_000), code=1)
