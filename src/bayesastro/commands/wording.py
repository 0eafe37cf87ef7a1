"""What Python's functions refuse in the words of the command line: their keywords and settings as its options."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = ["in_options"]


@contextmanager
def in_options(settings: Iterable[str] = (), **options: str) -> Iterator[None]:
    """Tell refusals with the options of the command in place of names between backquotes.

    Parameters
    ----------
    settings : iterable of str
        Of an engine or a method, which are given by ``--set``.
    **options : str
        The option in place of a keyword, such as ``checkpoint="--out"``.

    Raises
    ------
    ValueError, TypeError, OSError
        As they were, in other words.

    Examples
    --------
    >>> with in_options(["num_draws"]):
    ...     raise ValueError("`num_draws` must be even, but 3 came.")
    Traceback (most recent call last):
    ValueError: `--set num_draws=...` must be even, but 3 came.
    """
    told = {f"`{name}`": f"`--set {name}=...`" for name in settings}
    told |= {f"`{name}`": f"`{option}`" for name, option in options.items()}
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        message = re.sub(r"`[\w=]+`", lambda found: told.get(found[0], found[0]), str(error))
        if message == str(error):
            raise
        kind = next(kind for kind in (ValueError, TypeError, OSError) if isinstance(error, kind))
        raise kind(message) from error
