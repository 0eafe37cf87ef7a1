"""Log-likelihood of a transit before a rotating star, and its gradient, on 13,203 points of one minute.

Times and errors are those of a month's beginning of Kepler's short cadence; the flux is simulated, for the cost does not
depend on it. `bayesastro`: the program's likelihood through `Problem`, gradient in all 14 unconstrained coordinates.
jaxoplanet + tinygp: the same model written by hand, with `light_curves.limb_dark`, tinygp's `SHO` kernels and
`assume_sorted=True`, gradient in 14 parameters. celerite2: the likelihood alone, in C++ and without gradient, of the
residuals; and its JAX interface with gradient, in a process of its own, for it switches JAX to double precision
globally. Medians of the processor's time over rounds in which all take turns.
"""

import json
import statistics
import subprocess
import sys
import time as clock
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.models.lightcurves import transit
from benchmarks.peers import Failure, Peer
from benchmarks.report import Ratio, Report

__all__ = ["run"]

NUM, ROUNDS = 13_203, 15


def series() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, fluxes and errors."""
    rng = np.random.default_rng(0)
    time = np.sort(rng.choice(14_280, NUM, replace=False)) * 6.812e-4
    return time, 1.0 + 1.5e-4 * rng.normal(size=NUM), np.full(NUM, 1.5e-4)


def by_hand(theta: jax.Array, time: jax.Array, flux: jax.Array, sigma: jax.Array) -> jax.Array:
    """The likelihood of jaxoplanet and tinygp."""
    from jaxoplanet.light_curves.limb_dark import light_curve
    from jaxoplanet.orbits.keplerian import Central, System
    from tinygp import GaussianProcess
    from tinygp.kernels.quasisep import SHO

    period, t0, density, k, b, q1, q2, level, jitter, amplitude, rotation, Q0, dQ, f = theta
    system = System(Central(radius=1.0, density=density)).add_body(
        period=period, time_transit=t0, impact_param=b, radius=k
    )
    u = jnp.stack([2 * jnp.sqrt(q1) * q2, jnp.sqrt(q1) * (1 - 2 * q2)])
    model = level * (1 + light_curve(system.bodies[0], u)(time))
    parts = []
    for Q, P, variance in ((0.5 + Q0 + dQ, rotation, 1.0), (0.5 + Q0, rotation / 2, f)):
        omega = 4 * jnp.pi * Q / (P * jnp.sqrt(4 * Q**2 - 1))
        parts.append(SHO(omega=omega, quality=Q, sigma=amplitude * jnp.sqrt(variance / (1 + f))))
    process = GaussianProcess(parts[0] + parts[1], time, diag=sigma**2 + jitter**2, assume_sorted=True)
    return process.log_probability(flux - model)


THETA = np.array([2.2, 1.0, 0.2, 0.08, 0.5, 0.3, 0.4, 1.0, 5e-5, 1e-4, 3.2, 1.0, 0.5, 0.3])

CELERITE_JAX = """
import json, sys, time
import celerite2.jax, jax, jax.numpy as jnp, numpy as np
from celerite2.jax import terms
from benchmarks.transit_gp import series
t, y, sigma = map(jnp.asarray, series())
@jax.jit
@jax.value_and_grad
def likelihood(theta):
    amplitude, period, Q0, dQ, f = theta
    process = celerite2.jax.GaussianProcess(terms.RotationTerm(sigma=amplitude, period=period, Q0=Q0, dQ=dQ, f=f))
    process.compute(t, diag=sigma**2, check_sorted=False)
    return process.log_likelihood(y - 1.0)
theta = jnp.array([1e-4, 3.2, 1.0, 0.5, 0.3])
jax.block_until_ready(likelihood(theta))
seconds = []
for _ in range(15):
    began = time.process_time()
    jax.block_until_ready(likelihood(theta))
    seconds.append(time.process_time() - began)
print(json.dumps(seconds))
"""


HAND, CPP, IN_JAX = (
    "jaxoplanet + tinygp by hand",
    "celerite2 (C++), likelihood of residuals, no gradient",
    "celerite2.jax, likelihood of residuals and gradient",
)


def ours() -> dict[str, Callable[[], Any]]:
    """The program's likelihood with gradient, on all data and on those near transits."""
    calls: dict[str, Callable[[], Any]] = {}
    for name, settings in (("bayesastro", {}), ("bayesastro, `window=0.15`", {"window": 0.15})):
        problem = transit.build(
            *series(), period=(2.2, 0.1), t0=(1.0, 0.1), variability="rotation", gp_sigma=(1e-4, 1.0), **settings
        )
        chart = problem.unconstrained
        z = chart.draw_prior(jax.random.key(0), problem.data)
        likelihood = jax.jit(jax.value_and_grad(chart.log_likelihood))
        calls[name] = lambda f=likelihood, z=z, data=problem.data: f(z, data)
    return calls


def jaxoplanets() -> Callable[[], Any]:
    """Compiled."""
    hand, arrays = jax.jit(jax.value_and_grad(by_hand)), [jnp.asarray(array) for array in (THETA, *series())]
    jax.block_until_ready(hand(*arrays))
    return lambda: hand(*arrays)


def celerites() -> Callable[[], float]:
    """Of the residuals, in C++."""
    import celerite2
    from celerite2 import terms

    time, flux, sigma = series()
    process = celerite2.GaussianProcess(terms.RotationTerm(sigma=1e-4, period=3.2, Q0=1.0, dQ=0.5, f=0.3))

    def call() -> float:
        process.compute(time, diag=sigma**2)
        return process.log_likelihood(flux - 1.0)

    return call


def celerites_in_jax() -> list[float]:
    """Seconds of its calls."""
    return json.loads(subprocess.run([sys.executable, "-c", CELERITE_JAX], stdout=-1, text=True, check=True).stdout)


def run() -> Report:
    """The table, and ratios to jaxoplanet and celerite2."""
    jaxoplanet, celerite = Peer("jaxoplanet"), Peer("celerite2")
    seconds: dict[str, list[float] | Failure] = {}
    with jax.enable_x64(True):
        calls = ours()
        for name, peer, make in ((HAND, jaxoplanet, jaxoplanets), (CPP, celerite, celerites)):
            made = peer.measured(make)
            if isinstance(made, Failure):
                seconds[name] = made
            else:
                calls[name] = made
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for repeat in range(1 + ROUNDS):
            for name, call in calls.items():
                began = clock.process_time()
                jax.block_until_ready(call())
                if repeat:  # the first one compiles
                    taken[name].append(clock.process_time() - began)
    seconds = taken | seconds | {IN_JAX: celerite.measured(celerites_in_jax)}
    medians = {n: s if isinstance(s, Failure) else 1e3 * statistics.median(s) for n, s in seconds.items()}
    lines = ["| what | milliseconds |", "|---|---|"]
    lines += [f"| {name} | {milliseconds:.1f} |" for name, milliseconds in medians.items()]
    print("\n".join(lines), flush=True)
    rows = (
        ("bayesastro", HAND, f"{jaxoplanet} + {Peer('tinygp')}"),
        ("bayesastro, `window=0.15`", HAND, f"{jaxoplanet} + {Peer('tinygp')}"),
    )
    rows += (("bayesastro", CPP, f"{celerite}, residuals alone, no gradient"),)
    rows += (("bayesastro", IN_JAX, f"{celerite} in JAX, residuals alone"),)
    ratios = [
        Ratio(
            quantity=f"Transit and rotation{', window' if 'window' in mine else ''}, {NUM:,} points: ms for likelihood "
            "and gradient",
            ours=medians[mine],
            peer=peer,
            theirs=medians[theirs],
            less_is_better=True,
        )
        for mine, theirs, peer in rows
    ]
    return Report("\n".join(lines), tuple(ratios))
