"""One module per subcommand of `dui`.

A module here has `register(subparsers)`: it adds its parser and sets `run`, a function of the parsed arguments that
returns the exit code. Nothing else has to know about it.
"""
