"""``python -m bench.cli``, which does the same as the program ``bench``."""

from bench.cli.app import main

main()
