"""The 63 SLACS lenses with HST images: Einstein radii beside the published ones, by `fit_many`.

Every lens has the same program: elliptical power law, shear, one Sérsic source, smooth lens light integrated out. All
are fitted by `fit_many` with NUTS, two chains from the best of prior draws. Those whose chains disagree, for
they are in different modes or stuck, are fitted again from Pathfinder's paths, and said to be. The published radii are the singular
isothermal ellipsoids of Bolton et al. (2008, ApJ 682, 964).
"""

import os
import time

import arviz_stats
import numpy as np

from bayesastro import NUTS, Pathfinder, fit, fit_many
from bayesastro.datasets.slacs import SLACSLens, slacs_lenses
from bayesastro.models.lensing.slacs import slacs_problem
from benchmarks.data_folder import data_folder

__all__ = ["run"]

ENGINE = NUTS(num_chains=2, num_warmup=400, num_draws=400, num_starts=300, mass_matrix="dense")

PATHS = Pathfinder(num_paths=8, num_draws=100, num_elbo_draws=3, num_starts=200)

R_HAT = 1.05


def lenses() -> dict[str, SLACSLens]:
    """Those of the data folder; the environment variable SLACS_LENSES picks some, by names between commas."""
    found = slacs_lenses(data_folder() / "lens_slacs63_hst")
    names = os.environ.get("SLACS_LENSES")
    return {name: found[name] for name in names.split(",")} if names else found


def run() -> str:
    """The table, in Markdown."""
    chosen = lenses()
    problems = {name: slacs_problem(lens) for name, lens in chosen.items()}
    first = next(iter(problems.values()))
    stacked = {name: np.stack([p.covariates[name] for p in problems.values()]) for name in first.covariates}
    batch = first.batch(observed={"image": [p.observed["image"] for p in problems.values()]}, **stacked)
    began = time.perf_counter()
    result = fit_many(first, batch, ENGINE, seed=1, chunk=1)
    seconds = (time.perf_counter() - began) / len(problems)
    theta_E = result["posterior"].to_dataset()[["theta_E", "gamma"]]
    r_hat = arviz_stats.rhat(result["posterior"].to_dataset()).to_array().max("variable").values
    lines = ["| lens | published θ_E | θ_E | off by | γ | R̂ | from |", "|---|---|---|---|---|---|---|"]
    off = []
    for i, (name, lens) in enumerate(chosen.items()):
        draws, worst, way = theta_E.isel(dataset=i), float(r_hat[i]), "prior"
        if not worst < R_HAT:
            problem, way = problems[name], "Pathfinder"
            again = fit(problem, ENGINE, start=fit(problem, PATHS, seed=2, progress=False), seed=3, progress=False)
            draws = again["posterior"].to_dataset()
            worst = float(arviz_stats.rhat(draws).to_array().max())
        mean, sd = float(draws["theta_E"].mean()), float(draws["theta_E"].std())
        off.append(mean / lens.b_SIE - 1)
        lines.append(
            f"| {name} | {lens.b_SIE:.2f} | {mean:.3f} ± {sd:.3f} | {100 * off[-1]:+.1f} % | "
            f"{float(draws['gamma'].mean()):.2f} | {worst:.3f} | {way} |"
        )
        print(lines[-1], flush=True)
    within = np.mean(np.abs(off) < 0.05)
    last = f"{100 * within:.0f} % of {len(off)} within 5 %; {seconds:.0f} s for each lens in `fit_many`, compiling included."
    print(last, flush=True)
    return "\n".join([*lines, "", last])
