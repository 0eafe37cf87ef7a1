"""Young stars by a conditional invertible network, beside NUTS on the same program and sbi on the same simulations.

The program of Kang et al. (2023, 2025) with the H-band networks of The Payne: four labels, A_V, R_V and veiling from 448 bins
of one APOGEE spectrum, of any signal-to-noise ratio from 10 to 1000, which the network reads beside the fluxes. An ensemble of
three affine coupling flows learns from 150,000 simulations. sbi's masked autoregressive flow (its own settings but for the batch
size, one network) gets the same simulations, standardised alike, in the same unconstrained coordinates, with an embedding of the
same layers, for as many epochs. `log q` is the mean log-density of the truth over 1,000 held-out simulations, in these
coordinates; coverage is that of central intervals, over all seven parameters. Times are the processor's, of one star and 1,000
draws, many stars at once, on one thread; NUTS has 2 × 500 draws after 2 × 500 of warm-up, and compiles nothing. Biases are of
posterior means, by the ensemble and by one network of the program without veiling. The environment variable YOUNG_STARS names
a folder where banks and networks are kept: with them there nothing is trained.
"""

import dataclasses
import itertools
import os
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import torch
import xarray as xr

from bayesastro import NPE, NUTS, Amortised, Bank, Problem, fit, fit_many, simulate
from bayesastro.calibration.coverage import binned_coverage
from bayesastro.inference.neural.embeddings import Dense
from bayesastro.models.spectra.examples import young_apogee_star
from bayesastro.problem import Simulations
from benchmarks.peers import Failure, Peer
from benchmarks.report import Ratio, Report

__all__ = ["NUTS_ENGINE", "SETTINGS", "SNR_EDGES", "UNVEILED", "bias_table", "network", "run"]

NUM_SIMULATIONS, NUM_HELD, NUM_DRAWS, NUM_SBI = 150_000, 1000, 1000, 200

WIDTH, DEPTH = 256, 3
"""Of the layers that summarise the fluxes."""

SETTINGS = NPE(
    flow="affine",
    num_transforms=6,
    hidden=128,
    num_ensemble=3,
    batch_size=256,
    learning_rate=7e-4,
    max_epochs=14,
    patience=4,
    cache_bytes=2**30,
    embeddings={"flux": Dense(width=WIDTH, depth=DEPTH)},
)

UNVEILED = dataclasses.replace(SETTINGS, num_ensemble=1, max_epochs=6)
"""Of the network of the program without veiling, whose faults are not those of training."""

NUTS_ENGINE = NUTS(num_chains=2, num_warmup=500, num_draws=500, mass_matrix="dense", target_accept=0.9)

LEVELS = (0.68, 0.95)

SNR_EDGES = (10.0, 30.0, 100.0, 300.0, 1000.0)

VEILING_EDGES = (0.0, 0.2, 0.5, 1.0, 2.0)


def network(
    problem: Problem, name: str, settings: NPE = SETTINGS, num_simulations: int = NUM_SIMULATIONS
) -> tuple[Amortised, Bank]:
    """The trained ensemble, that of this name in the folder YOUNG_STARS or a new one, and its bank."""
    kept = os.environ.get("YOUNG_STARS")
    folder = Path(kept) / name if kept else Path(tempfile.mkdtemp())
    bank = simulate(problem, num_simulations, seed=1, path=folder / "bank", precision="single", progress=False)
    if (folder / "network").is_dir():
        return Amortised.load(folder / "network"), bank
    trained = settings.train(problem, bank, seed=1)
    trained.save(folder / "network")
    return trained, bank


def bias_table(simulated: Simulations, fits: dict[str, xr.DataTree], name: str = "Teff") -> pd.DataFrame:
    """How far posterior means of a parameter are off, in bins of veiling.

    Parameters
    ----------
    simulated : Simulations
        Of the program with veiling.
    fits : mapping of str to xarray.DataTree
        Of these data sets, by :func:`bayesastro.fit_many` and programs or networks that are to be compared.
    name : str
        The parameter.

    Returns
    -------
    pandas.DataFrame
        By ``model`` and ends of the bin: ``number`` of stars, ``bias`` (mean of posterior mean − truth) and its ``error``, ``rms``
        of the same, ``bias_sd``, its median in posterior sds, and ``coverage`` of central 95 % intervals.
    """
    veiling, truth = simulated.parameters["veiling"], simulated.parameters[name]
    rows = {}
    for model, tree in fits.items():
        draws = tree["posterior"][name].values.reshape(len(truth), -1)
        off, sd = draws.mean(1) - truth, draws.std(1, ddof=1)
        low, high = np.quantile(draws, [0.025, 0.975], axis=1)
        for start, stop in itertools.pairwise(VEILING_EDGES):
            inside = (veiling >= start) & (veiling < stop)
            number = int(inside.sum())
            rows[model, start, stop] = {
                "number": number,
                "bias": off[inside].mean(),
                "error": off[inside].std(ddof=1) / np.sqrt(number),
                "rms": np.sqrt((off[inside] ** 2).mean()),
                "bias_sd": np.median(off[inside] / sd[inside]),
                "coverage": ((low < truth) & (truth < high))[inside].mean(),
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.set_axis(pd.MultiIndex.from_tuples(list(rows), names=["model", "from", "to"]))


def sbis(amortised: Amortised, bank: Bank) -> torch.nn.Module:
    """sbi's density estimator, trained on the same rows as numbers of order one: fluxes, then the logarithm of the error."""
    from sbi.inference import NPE as SBI
    from sbi.neural_nets import posterior_nn
    from sbi.utils.tracking import TensorBoardTracker
    from torch.utils.tensorboard.writer import SummaryWriter

    z, x = bank.rows(slice(None))
    embedding = Dense(width=WIDTH, depth=DEPTH).network(np.ones(x["flux"].shape[1] + 1, bool), 0, 32, 0.0)
    torch.manual_seed(1)
    density = posterior_nn("maf", embedding_net=embedding, z_score_x="none", z_score_theta="none")
    tracker = TensorBoardTracker(SummaryWriter(tempfile.mkdtemp()))  # or it would write into the folder of the caller
    training = SBI(density_estimator=density, tracker=tracker, show_progress_bars=False)
    training.append_simulations(*_standardised(amortised, z, x))
    return training.train(training_batch_size=SETTINGS.batch_size, max_num_epochs=SETTINGS.max_epochs)


def _standardised(amortised: Amortised, z: np.ndarray, x: dict[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    scale = amortised.posterior.scale
    values = scale.observed(x)
    joined = np.concatenate([values["flux"], values["log10_sigma"][:, None]], 1)
    return torch.from_numpy(scale.coordinates(z)), torch.from_numpy(joined)


def _row(name: str, log_q: np.ndarray, place: np.ndarray, seconds_a_star: float) -> str:
    error = log_q.std() / np.sqrt(log_q.size)
    covered = " | ".join(f"{(place <= level).mean():.3f}" for level in LEVELS)
    return _told(f"| {name} | {log_q.mean():.2f} ± {error:.2f} | {covered} | {1e3 * seconds_a_star:.1f} ms |")


def _told(line: str) -> str:
    print(line, flush=True)
    return line


def _place(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The smallest probability of a central interval that holds the truth, by star and coordinate."""
    return np.abs(2 * (draws < truth[:, None]).mean(1) - 1)


def _sbi_row(amortised: Amortised, bank: Bank, z: np.ndarray, x: dict[str, np.ndarray]) -> tuple[str, float]:
    """And seconds for a star."""
    estimator = sbis(amortised, bank)
    theta, given = _standardised(amortised, z, x)
    with torch.no_grad():
        log_q = estimator.log_prob(theta[None], condition=given)[0].numpy() + amortised.posterior.scale.log_volume
        began = time.process_time()
        draws = estimator.sample((NUM_DRAWS,), condition=given[:NUM_SBI]).transpose(0, 1).numpy()
    seconds = (time.process_time() - began) / NUM_SBI
    return _row("sbi, MAF", log_q, _place(draws, theta[:NUM_SBI].numpy()), seconds), seconds


def _nuts_row(problem: Problem, simulated: Simulations, num: int = 2) -> str:
    """Without compiling."""
    seconds = []
    for i in range(num + 1):
        one = problem.replace(observed={name: values[i] for name, values in simulated.observables.items()})
        began = time.process_time()
        fit(one, NUTS_ENGINE, seed=i, progress=False)
        seconds.append(time.process_time() - began)
    return _told(f"| NUTS | | | | {np.mean(seconds[1:]):.1f} s |")


def _posteriors(problem: Problem, amortised: Amortised, bank: Bank, held: Simulations) -> tuple[list[str], Ratio]:
    """A table of posteriors, and one of the ensemble's coverage by signal-to-noise ratio; and the ratio to sbi."""
    x, chart = held.observables, problem.unconstrained
    with jax.enable_x64(True):
        z = np.asarray(jax.vmap(lambda theta: chart.to_coordinates(theta, problem.data))(held.parameters))
    networks = amortised.posterior.networks
    alone = dataclasses.replace(amortised, posterior=dataclasses.replace(amortised.posterior, networks=networks[:1]))
    lines, places, times = ["| posterior | log q | 68 % | 95 % | a star |", "| --- " * 5 + "|"], [], []
    for name, engine in ((f"bayesastro, {len(networks)} networks", amortised), ("the first of them", alone)):
        began = time.process_time()
        draws = engine.draw(x, NUM_DRAWS, seed=1)
        seconds = (time.process_time() - began) / NUM_HELD
        times.append(seconds)
        places.append(_place(draws, z))
        lines.append(_row(name, engine.log_prob(z[:, None], x), places[-1], seconds))
    names = amortised.posterior.labels
    by_name = dict(zip(names, places[0].T, strict=True))
    coverage = binned_coverage(by_name, 10 ** -x["log10_sigma"], SNR_EDGES)
    table = [f"| S/N | level | error | {' | '.join(names)} |", "| --- " * (3 + len(names)) + "|"]
    for (low, high), level in itertools.product(itertools.pairwise(SNR_EDGES), LEVELS):
        part = [coverage.loc[(name, low, high, level)] for name in names]
        figures = " | ".join(f"{row['coverage']:.3f}" for row in part)
        table.append(_told(f"| {low:g} to {high:g} | {level:g} | {part[0]['error']:.3f} | {figures} |"))
    sbi = Peer("sbi").measured(lambda: _sbi_row(amortised, bank, z, x))
    row, theirs = (f"| sbi, MAF | {sbi} | | | |", sbi) if isinstance(sbi, Failure) else sbi
    ratio = Ratio(
        quantity=f"A young star, {len(networks)} networks: ms for 1,000 draws",
        ours=1e3 * times[0],
        peer=f"{Peer('sbi')}, one MAF",
        theirs=theirs if isinstance(theirs, Failure) else 1e3 * theirs,
        less_is_better=True,
    )
    return [*lines, _nuts_row(problem, held), row, "", *table], ratio


def _biases(problem: Problem, amortised: Amortised, held: Simulations) -> list[str]:
    plain = young_apogee_star(max_veiling=0.0)
    unveiled, _ = network(plain, "unveiled", UNVEILED)
    quick = {"num_chains": 1, "num_draws": 500}
    fits = {
        model: fit_many(one, held.observables, dataclasses.replace(engine, **quick), seed=1, progress=False)
        for model, one, engine in (("with veiling", problem, amortised), ("without", plain, unveiled))
    }
    lines = ["| program | veiling | T_eff: bias [K] | rms [K] | median bias [sd] | 95 % |", "| --- " * 6 + "|"]
    for (model, low, high), row in bias_table(held, fits).iterrows():
        figures = (
            f"{row['bias']:.0f} ± {row['error']:.0f} | {row['rms']:.0f} | {row['bias_sd']:.2f} | {row['coverage']:.3f}"
        )
        lines.append(_told(f"| {model} | {low:g} to {high:g} | {figures} |"))
    return lines


def run() -> Report:
    """The tables in Markdown."""
    torch.set_num_threads(1)
    problem = young_apogee_star()
    amortised, bank = network(problem, "full")
    held = problem.simulate(NUM_HELD, key=jax.random.key(99))
    biases = _biases(problem, amortised, held)
    posteriors, ratio = _posteriors(problem, amortised, bank, held)
    return Report("\n".join([*posteriors, "", *biases]), (ratio,))
