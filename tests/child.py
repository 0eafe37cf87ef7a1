"""A small problem, and a fit of it in a process of its own that tests may kill, interrupt or spread over devices."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpyro
import numpyro.distributions as dist

import bayesastro as ba
from bayesastro.inference.engine import Engine

X = np.linspace(-1.0, 1.0, 12)
Y = 0.5 + 2.0 * X + 0.3 * np.sin(40.0 * X)
SIGMA = 0.3
PRIOR_SD = 10.0

SMALL = ba.NUTS(num_chains=2, num_warmup=100, num_draws=300)
LONG = ba.NUTS(num_chains=2, num_warmup=2000, num_draws=40_000)
"""About a second's work, so that it can be stopped on the way: in its warm-up after one block, or later."""

LONGS: dict[str, Engine] = {
    "NUTS": LONG,
    "MCLMC": ba.MCLMC(num_warmup=20_000, num_draws=40_000, thin=10),
    "Pathfinder": ba.Pathfinder(num_paths=1000, num_draws=500),
    "NestedSampler": ba.NestedSampler(num_live=4000),
    "SMC": ba.SMC(num_islands=8, num_particles=2000),
    "GeoVI": ba.GeoVI(num_draws=200_000),
    "Ensemble": ba.Ensemble(tau_factor=100, num_walkers=16),
}
"""Every engine at some seconds' work."""


def line(x, sigma):
    a = numpyro.sample("a", dist.Normal(0.0, PRIOR_SD))
    b = numpyro.sample("b", dist.Normal(0.0, PRIOR_SD))
    numpyro.deterministic("end", a + b)
    with numpyro.plate("point", len(x)):
        numpyro.sample("y", dist.Normal(a + b * x, sigma))


def problem(y: np.ndarray = Y, x: np.ndarray = X) -> ba.Problem:
    return ba.Problem(line, x, SIGMA, observed={"y": y})


def moments() -> tuple[np.ndarray, np.ndarray]:
    """Exact mean and covariance of (a, b)."""
    design = np.stack([np.ones_like(X), X], axis=1)
    covariance = np.linalg.inv(design.T @ design / SIGMA**2 + np.eye(2) / PRIOR_SD**2)
    return covariance @ design.T @ Y / SIGMA**2, covariance


def start(cache: Path, *, devices: int = 1, out: Path | None = None, stderr: Any = subprocess.PIPE, **options: Any):
    """Run `main` in another process: a fit of `LONGS[engine]` with seed 1 and the options of `ba.fit`."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags}
    text = json.dumps({"cache": str(cache), "out": str(out) if out else None, **options}, default=str)
    return subprocess.Popen([sys.executable, __file__, text], stderr=stderr, env=environment, text=True)


def main(cache: str, out: str | None, engine: str = "NUTS", num_draws: int | None = None, **options: Any) -> None:
    from dataclasses import replace

    from bayesastro import drive, progress

    drive.BLOCK_SECONDS, drive.CHECKPOINT_SECONDS, progress.LINE_INTERVAL = 0.02, 0.0, 0.0
    ba.enable_compilation_cache(cache)
    settings = LONGS[engine] if num_draws is None else replace(LONGS[engine], num_draws=num_draws)
    result = ba.fit(problem(), settings, seed=1, **options)
    if out is not None:
        ba.save(result, out)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
