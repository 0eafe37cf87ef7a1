"""Seeds: whole numbers that runs are repeated by."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from bayesastro.hints import told

__all__ = ["asks_for", "checked_seed"]

Function = TypeVar("Function", bound=Callable[..., Any])


class _Nothing:
    """What comes where an argument that is needed was left out."""

    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


def asks_for(name: str) -> Callable[[Function], Function]:
    """Decorator: the function itself says that its keyword `name` was left out, with a remedy, and not Python.

    The signature that help and type checkers show keeps it as required, and no call is added between. The function has to
    check the argument before anything else, a seed by :func:`checked_seed`.

    Examples
    --------
    >>> @asks_for("seed")
    ... def draw(*, seed: int) -> int:
    ...     return checked_seed(seed)
    >>> draw()
    Traceback (most recent call last):
    TypeError: A seed is needed, a whole number that makes the run repeatable. Give one by name, such as `seed=1`.
    >>> inspect.signature(draw)
    <Signature (*, seed: int) -> int>
    """

    def asking(function: Function) -> Function:
        changed: Any = function
        changed.__signature__ = inspect.signature(function)
        changed.__kwdefaults__ = {**(changed.__kwdefaults__ or {}), name: _NOTHING}
        return function

    return asking


def checked_seed(seed: int) -> int:
    """The seed as an `int`.

    Raises
    ------
    TypeError
        If it was left out.
    ValueError
        If it is not a whole number from 0 to 2⁶³ − 1.
    """
    if seed is _NOTHING:
        raise TypeError(
            "A seed is needed, a whole number that makes the run repeatable. Give one by name, such as `seed=1`."
        )
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ValueError(f"`seed` must be a whole number from 0 to 2⁶³ − 1, but {told(seed)} came.")
    return int(seed)
