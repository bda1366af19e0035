"""``python -m simulator`` is the command ``rumormill``."""

from simulator.cli import main

main()
