"""What the package costs on top of its libraries, after compiling.

`fit` beside the same compiled transitions called once by hand over the whole run, with the draws mapped to parameters
and put into ArviZ's schema; and `import bayesastro` after `import jax`.
"""

import functools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import arviz_base
import jax
import jax.numpy as jnp
import numpy as np

from bayesastro import MCLMC, NUTS, NestedSampler, Problem, fit
from bayesastro.inference.engine import Engine
from bayesastro.precision import to_numpy, working_precision
from benchmarks.problems import PROBLEMS
from benchmarks.report import Report

__all__ = ["run"]

REPEATS = 5

WORKLOADS = [
    (NUTS(num_warmup=500, num_draws=4000), 4500, "eight schools (10)"),
    (NUTS(num_warmup=500, num_draws=4000), 4500, "BAO ΛCDM (2)"),
    (NUTS(num_warmup=500, num_draws=4000), 4500, "hierarchical slopes (405)"),
    (MCLMC(num_warmup=4000, num_draws=10_000), 14_000, "eight schools (10)"),
    (MCLMC(num_warmup=4000, num_draws=4000), 8000, "hierarchical slopes (405)"),
    (NestedSampler(num_live=2000), 400, "eight schools (10)"),
]
"""Engine, enough steps to be done, problem."""


def driver(engine: Engine, num_steps: int, problem: Problem) -> tuple[float, ...]:
    """Seconds of `fit`, and of the same work by hand: all steps in one compiled call."""
    views = problem.views()

    class Whole(type(engine)):
        """The engine with a single block for the whole run."""

        def block_size(self, views):
            return num_steps

    whole = Whole(**engine.settings())
    init = jax.jit(functools.partial(whole.init, views))
    advance = jax.jit(functools.partial(whole.advance, views))
    one = functools.partial(views.unconstrained.to_parameters, deterministics=views.deterministics)
    to_parameters = jax.jit(jax.vmap(jax.vmap(one, (0, None)), (0, None)))

    def bare() -> None:
        with working_precision("double"):
            key = jax.random.key(1)
            state, block = advance(key, init(key, problem.data, None), problem.data, jnp.asarray(num_steps))
            rows = {name: np.asarray(rows)[: int(block.count)] for name, rows in block.rows.items()}
            draws = whole.finish(views, to_numpy(state), rows)
            posterior = jax.tree.map(np.asarray, to_parameters(draws.coordinates, problem.data))
            groups = {"posterior": posterior, "sample_stats": draws.sample_stats}
            arviz_base.from_dict(groups, check_conventions=False)

    return _medians(lambda: fit(problem, engine, seed=1, progress=False), bare)


def _medians(*functions: Callable[[], Any]) -> tuple[float, ...]:
    """Median seconds of each; they take turns, so that what else the machine does hits them alike."""
    seconds: list[list[float]] = [[] for _ in functions]
    for repeat in range(1 + REPEATS):
        for function, times in zip(functions, seconds, strict=True):
            began = time.perf_counter()
            function()
            if repeat:  # the first one compiles
                times.append(time.perf_counter() - began)
    return tuple(statistics.median(times) for times in seconds)


def imports(statement: str) -> float:
    """Seconds that a statement takes in a fresh interpreter, which has imported what stands before its semicolon."""
    first, _, second = statement.partition(";")
    script = f"{first}\nimport time\nt = time.perf_counter()\n{second}\nprint(time.perf_counter() - t)"
    runs = [float(subprocess.check_output([sys.executable, "-c", script])) for _ in range(REPEATS)]
    return statistics.median(runs)


def run() -> Report:
    """The table, in Markdown."""
    lines = ["| what | seconds | bare | ratio |", "|---|---|---|---|"]
    for engine, num_steps, name in WORKLOADS:
        ours, bare = driver(engine, num_steps, PROBLEMS[name]())
        lines.append(f"| `fit`, {type(engine).__name__}, {name} | {ours:.3f} | {bare:.3f} | {ours / bare:.2f} |")
        print(lines[-1], flush=True)
    for statement in ("import bayesastro", "from bayesastro import NUTS, Problem, diagnose, fit"):
        lines.append(f"| `{statement}` after `import jax` | {imports(f'import jax;{statement}'):.3f} | | |")
        print(lines[-1], flush=True)
    return Report("\n".join(lines))
