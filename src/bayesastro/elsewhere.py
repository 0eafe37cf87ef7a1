"""The program of a fit at other arguments, such as times that nobody observed, with the same parameters."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpyro.primitives import Messenger

from bayesastro.hints import told
from bayesastro.labels import listed
from bayesastro.problem import Problem

__all__ = ["at_arguments"]


def at_arguments(problem: Problem, arguments: Mapping[str, Any]) -> Problem:
    """The program of a problem at other arguments, where nothing is observed.

    An argument that holds values observed by ``obs=`` is None there if that is its default, unless it is given.

    Parameters
    ----------
    problem : Problem
    arguments : mapping of str to array or setting
        By name; those left out are the problem's.

    Returns
    -------
    Problem
        Its sites are the problem's parameters and observables, all latent.

    Raises
    ------
    TypeError
        If `arguments` is no mapping of the program's arguments by name.
    ValueError
        If parameters come in, go, or change their shape; if another argument has to change with those given; or if they
        are refused as those of a `Problem` are.
    """
    if not isinstance(arguments, Mapping):
        raise TypeError(f"`arguments` must map names of the program's arguments to values, but {told(arguments)} came.")
    parameters = inspect.signature(problem.program).parameters
    unobserved = {name: None for name in problem.carriers if name in parameters and parameters[name].default is None}
    args, kwargs = problem.static_program.changed(problem.data.arrays, (), unobserved | dict(arguments))
    try:
        there = Problem(
            _unobserving(problem.program), *args, prior_factors=problem.prior_factors, units=problem.units, **kwargs
        )
    except (TypeError, ValueError) as error:
        if partners := _partners(problem, arguments):
            raise ValueError(
                f"The program does not run at these `arguments` ({str(error).splitlines()[0]}). Give "
                f"{listed([f'`{name}`' for name in partners])} for them, too: the shape is that of the old ones."
            ) from error
        raise
    _require_parameters(problem, there)
    return there


class _Unobserving(Messenger):
    """Sites as if they had been written without ``obs=``; `handlers.uncondition` would remember the values."""

    def process_message(self, msg: dict[str, Any]) -> None:
        if msg["type"] == "sample" and msg["is_observed"]:
            msg["is_observed"], msg["value"] = False, None


@functools.lru_cache(maxsize=32)
def _unobserving(program: Callable[..., Any]) -> Callable[..., Any]:
    """The program without what it gives to ``obs=``, whose length is that of the old arguments."""

    def without_data(*args: Any, **kwargs: Any) -> None:
        with _Unobserving():
            program(*args, **kwargs)

    functools.update_wrapper(without_data, program)
    return without_data


def _partners(problem: Problem, arguments: Mapping[str, Any]) -> list[str]:
    """Array arguments that were left out, though of the length that one of those given had before and has no longer."""
    arrays = problem.covariates
    lengths = {
        len(arrays[name])
        for name, value in arguments.items()
        if name in arrays and np.ndim(arrays[name]) and np.shape(value) != np.shape(arrays[name])
    }
    return [name for name, a in arrays.items() if name not in arguments and np.ndim(a) and len(a) in lengths]


def _require_parameters(problem: Problem, there: Problem) -> None:
    """Raise unless the parameters are the same at both."""
    observed = {site.name for site in problem.views().structure.of_kind("observed")}
    found = {site.name: site.shape for site in there.parameters if site.name not in observed}
    wanted = {site.name: site.shape for site in problem.parameters}
    for name in wanted | found:
        if name not in found or name not in wanted:
            what = "has no parameter" if name in wanted else "has another parameter,"
            raise ValueError(
                f"At these `arguments` the program {what} `{name}`. Its parameters must be those that were fitted."
            )
        if found[name] != wanted[name]:
            raise ValueError(
                f"At these `arguments` the parameter `{name}` has shape {found[name]}, but {wanted[name]} where it was "
                "fitted. Predictions are at arguments on which the parameters' shapes do not depend."
            )
