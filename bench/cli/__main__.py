"""``python -m bench.cli``: the same as the program ``bench``."""

from bench.cli.app import main

main()
