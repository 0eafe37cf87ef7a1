"""``python -m bayesastro``: the command line where scripts are not on the path."""

from bayesastro.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
