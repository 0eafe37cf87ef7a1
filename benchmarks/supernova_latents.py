"""The 740 supernovae of JLA with sampled latents, 2,230 unknowns: NUTS beside MCLMC, in gradients for an effective draw.

Each fits the same program from the best of prior draws, four chains, cold adaptation; seconds are those of the machine
above with compiling left out, gradients those of warm-up and draws. ESS is the least bulk ESS over all unknowns.
Unadjusted MCLMC is biased: its own check says by how much, at half as many gradients more, which are not counted.
"""

import time
from typing import Any

import arviz_stats

from bayesastro import MCLMC, NUTS, Problem, fit
from bayesastro.models.cosmology.examples import jla
from benchmarks.report import Report

__all__ = ["run"]

ENGINES = {
    "NUTS": NUTS(num_warmup=500, num_draws=1000),
    "MCLMC, unadjusted": MCLMC(num_warmup=8000, num_draws=1000, self_check=False),
    "MCLMC, adjusted": MCLMC(num_warmup=1000, num_draws=1000, adjusted=True),
}


def measured(problem: Problem, engine: Any) -> tuple[float, int, float, float, str]:
    """Seconds, gradients, least ESS, greatest R̂, and Ω_m in words."""
    fit(problem, engine, seed=2, progress=False, time_limit=1e-3)  # compiles
    began = time.perf_counter()
    result = fit(problem, engine, seed=1, progress=False)
    seconds = time.perf_counter() - began
    posterior = result["posterior"].to_dataset()
    names = [site.name for site in problem.parameters]
    ess, r_hat = arviz_stats.ess(posterior[names]), arviz_stats.rhat(posterior[names])
    least = min(float(values.min()) for values in ess.values())
    worst = max(float(values.max()) for values in r_hat.values())
    Omega_m = posterior["Omega_m"]
    told = f"{float(Omega_m.mean()):.3f} ± {float(Omega_m.std()):.3f}"
    return seconds, int(result.attrs["num_gradients"]), least, worst, told


def run() -> Report:
    """The table, in Markdown."""
    problem = jla(latents="sampled")
    lines = [
        "| engine | seconds | gradients | least ESS | R̂ | gradients / ESS | Ω_m |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, engine in ENGINES.items():
        seconds, gradients, ess, r_hat, told = measured(problem, engine)
        lines.append(
            f"| {name} | {seconds:.0f} | {gradients:,} | {ess:.0f} | {r_hat:.4f} | {gradients / ess:.0f} | {told} |"
        )
        print(lines[-1], flush=True)
    return Report("\n".join(lines))
