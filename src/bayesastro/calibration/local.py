"""Posterior SBC: calibration near the data observed, instead of averaged over the prior.

Parameters are drawn from the posterior at the observed data y and replicates y′ at these; the posterior given y *and*
y′ then has to treat the draw that y′ came from as one of its own. The program is made to observe two data sets, with
the same latents.

References
----------
Säilynoja, Schmitt, Bürkner & Vehtari 2025, arXiv:2502.03279.
"""

import functools
from collections.abc import Callable
from typing import Any

from numpyro import handlers

from bayesastro.problem import Problem

__all__ = ["REPLICATE", "doubled"]

REPLICATE = "replicate"
"""Prefix of the replicated sites' names."""


def doubled(problem: Problem) -> Problem:
    """The problem that observes, beside its data, a replicate of each observed site under the same latents."""
    args, kwargs = problem.static_program.arguments(problem.data.arrays)
    latents = tuple(site.name for site in problem.parameters)
    twice = _doubled_program(problem.program, latents)
    observed = problem.observed
    replicate = {f"{REPLICATE}/{name}": value for name, value in observed.items()}
    return Problem(twice, *args, observed={**observed, **replicate}, units=problem.units, **kwargs)


@functools.lru_cache(maxsize=32)
def _doubled_program(program: Callable[..., Any], latents: tuple[str, ...]) -> Callable[..., Any]:
    names = frozenset(latents)

    def twice(*args: Any, **kwargs: Any) -> None:
        with handlers.trace() as trace:
            program(*args, **kwargs)
        values = {name: trace[name]["value"] for name in latents}

        def is_repeated(site: dict[str, Any]) -> bool:
            return site["type"] == "deterministic" or site.get("name", "").removeprefix(f"{REPLICATE}/") in names

        with (
            handlers.block(hide_fn=is_repeated),
            handlers.scope(prefix=REPLICATE, divider="/"),
            handlers.substitute(data=values),
        ):
            program(*args, **kwargs)

    functools.update_wrapper(twice, program)
    return twice
