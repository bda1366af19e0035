"""The command ``rumormill``, also as ``python -m simulator``."""

import sys

from simulator.hidden import HiddenPackageError, check_not_hidden


def main() -> None:
    """Run the command line. Ctrl-C while it is still being loaded ends it as quietly as later."""
    try:
        check_not_hidden()
        from simulator.cli import main as run_command  # takes seconds

        run_command()
    except HiddenPackageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
