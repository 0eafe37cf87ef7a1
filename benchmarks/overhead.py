"""What the package costs on top of its libraries, after compiling.

`fit` beside the same compiled transitions called once by hand over the whole run, with the draws mapped to parameters
and put into ArviZ's schema; and `import bayesastro` after `import jax`.
"""

import functools
import statistics
import subprocess
import sys
import time

import arviz_base
import jax
import jax.numpy as jnp
import numpy as np

from bayesastro import NUTS, fit
from bayesastro.precision import working_precision
from benchmarks.problems import PROBLEMS

__all__ = ["run"]

ENGINE = NUTS(num_warmup=500, num_draws=4000)
REPEATS = 5


def driver(name: str) -> tuple[float, float]:
    """Seconds of `fit`, and of the same work by hand."""
    problem = PROBLEMS[name]()
    views = problem.views()

    class Whole(NUTS):
        """The engine with a single block for the whole run."""

        def block_size(self, views):
            return self.num_warmup + self.num_draws

    whole = Whole(**ENGINE.settings())
    init = jax.jit(functools.partial(whole.init, views))
    advance = jax.jit(functools.partial(whole.advance, views))
    one = functools.partial(views.unconstrained.to_parameters, deterministics=views.deterministics)
    to_parameters = jax.jit(jax.vmap(jax.vmap(one, (0, None)), (0, None)))
    with working_precision("double"):
        steps = jnp.asarray(whole.block_size(views))

    def bare() -> None:
        with working_precision("double"):
            key = jax.random.key(1)
            _, block = advance(key, init(key, problem.data, None), problem.data, steps)
            rows = {name: np.asarray(rows)[: int(block.count)].swapaxes(0, 1) for name, rows in block.rows.items()}
            posterior = jax.tree.map(np.asarray, to_parameters(rows.pop("position"), problem.data))
            arviz_base.from_dict({"posterior": posterior, "sample_stats": rows}, check_conventions=False)

    return _median(lambda: fit(problem, ENGINE, seed=1, progress=False)), _median(bare)


def _median(function) -> float:
    function()
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def imports(statement: str) -> float:
    """Seconds that a statement takes in a fresh interpreter, which has imported what stands before its semicolon."""
    first, _, second = statement.partition(";")
    script = f"{first}\nimport time\nt = time.perf_counter()\n{second}\nprint(time.perf_counter() - t)"
    runs = [float(subprocess.check_output([sys.executable, "-c", script])) for _ in range(REPEATS)]
    return statistics.median(runs)


def run() -> str:
    """The table, in Markdown."""
    lines = ["| what | seconds | bare | ratio |", "|---|---|---|---|"]
    for name in ("eight schools (10)", "BAO ΛCDM (2)", "hierarchical slopes (405)"):
        ours, bare = driver(name)
        lines.append(f"| `fit`, NUTS, {name} | {ours:.3f} | {bare:.3f} | {ours / bare:.2f} |")
        print(lines[-1], flush=True)
    for statement in ("import bayesastro", "from bayesastro import NUTS, Problem, diagnose, fit"):
        lines.append(f"| `{statement}` after `import jax` | {imports(f'import jax;{statement}'):.3f} | | |")
        print(lines[-1], flush=True)
    return "\n".join(lines)
