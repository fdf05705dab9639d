"""The program `volproc`. Workers import this file too: the command line only once it is run."""


def main() -> None:
    """Run the command line."""
    from volproc import cli

    cli.main()


if __name__ == "__main__":
    main()
