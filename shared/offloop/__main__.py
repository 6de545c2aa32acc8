"""``python -m offloop``: the command line, for whoever knows only the interpreter."""

from offloop.cli import main

main()
