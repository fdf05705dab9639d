"""`python -m volproc`."""

from volproc.cli import main

if __name__ == "__main__":
    main()
