"""The `augserve` program: the command line, or what to install where the `server` extra is missing."""

import sys


def main() -> None:
    """Run the command line; exit with status 2 where a package that it needs is not installed."""
    try:
        from augserve_server.cli import app

        app(prog_name="augserve")
    except ModuleNotFoundError as exc:
        package = (exc.name or "").partition(".")[0]
        if package.startswith("augserve"):
            raise
        print(f"'{package}' is not installed: pip install 'augserve[server]'", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
