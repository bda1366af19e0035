"""The command ``rumormill``, also as ``python -m simulator``."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C while it is still being loaded ends it as quietly as later."""
    try:
        from simulator.cli import main as run_command  # takes seconds

        run_command()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
