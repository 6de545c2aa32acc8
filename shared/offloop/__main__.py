"""``python -m offloop``: the command line."""

from offloop.cli import main

main()
