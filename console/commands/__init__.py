"""One module per noun of the command line, imported only when that noun is used.

Each has two functions:

`configure(parser)` adds the noun's options, or its verbs: `verbs = parser.add_subparsers(dest="verb",
metavar="VERB", required=True)`, then `verbs.add_parser("list", help="...")` for each. The options that
every command takes (`--output`, `--scope`, ...) are there already, before and after the verb.

`run(session)` does what `session.arguments` ask for and answers the exit code. What goes wrong is
raised as `console.commands.session.Problem`, or as one of the errors that are sentences already.
"""
