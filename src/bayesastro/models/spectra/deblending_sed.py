r"""Fluxes of catalogued sources from confused maps, with spectral energy distributions as their prior: XID+ with an emulator.

Each source is a galaxy whose star-formation rate follows a relation that the maps learn with the fluxes,

.. math:: \log_{10} \mathrm{SFR}_s \sim \mathcal N(m z_s + c, \sigma),

and whose fluxes in all bands are those of a network trained on CIGALE. As published, but that the confusion noise of the flat
program is kept, and that fluxes are proportional to the rate, as they are in CIGALE at all else equal.

What is sampled of a rate is a coordinate, and the prior is the same whatever it is. Of a source that no map shows it is the
rate's deviation from the relation, in units of σ. A bright one's flux is known, and its rate is not until its redshift and dust
are: there it is the logarithm of the flux that the rate would give, so that these are free of each other.

Fit it with `NUTS`, and look at R̂: where two sources lie closer than the maps can tell, either may be the bright one. On the
published tile two of four chains of `MCLMC` had not found the posterior after 5,000 steps from the prior.

References
----------
Hurley et al. (2017), MNRAS 464, 885 (XID+); H-E-L-P/XID_plus, ``numpyro_fit/SED_prior.py`` (the program; its example's numbers are
the defaults of the relation); Pearson et al. (2018), A&A 615, A146 (what such priors gain).
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float
from scipy import optimize, sparse

from bayesastro.datasets.confused_maps import ConfusedMap
from bayesastro.models.spectra.deblending import Band, bands_of, observe_maps, units_of
from bayesastro.problem import Problem
from bayesastro.simulators.spectra.sed_emulator import SedEmulator, scaled_log_flux

__all__ = ["SPIRE", "build", "program"]

SPIRE = {"psw250": "spire_250", "pmw350": "spire_350", "plw500": "spire_500"}
"""Bands of the published tile and the emulator's outputs."""

RELATION = {"slope": (0.8, 0.4), "intercept": (-1.0, 0.5)}
"""Mean and sd of the priors of m and c."""

REFERENCE = 2.0
"""log10 of a star-formation rate [M☉/yr] in the middle of the emulator's training."""

TINY = 1e-6
"""Precision of log10 of a flux that is as good as none: bands without any share alike."""

RATE_SPREAD = 0.5
"""Of log10 of fluxes that the prior allows, typically: a source whose flux the maps know better is called shown."""

NUISANCE = {"attenuation": (2.0, 1.0), "dust_slope": (2.0, 1.0), "log_tau": (3.4, 0.3)}
"""Mean and sd of the priors of the other inputs, normal within the domain: broad, and ours, for the published were each field's."""


def program(
    bands: tuple[Band, ...],
    emulator: SedEmulator,
    photometric: Float[Array, "s 2"],
    *,
    shown: Float[Array, " s"],
    share: Float[Array, "s b"],
    names: tuple[str, ...],
    outputs: tuple[int, ...],
    is_proportional: bool,
    confusion_scale: float | None,
) -> None:
    """Maps of galaxies.

    Parameters
    ----------
    bands : tuple of Band
    emulator : SedEmulator
    photometric : array, shape (s, 2)
        Mean and standard deviation of each source's photometric redshift, a normal cut to the emulator's domain.
    shown : array, shape (s,)
        Between 0, of sources that the maps do not show, and 1, of bright ones: sets the coordinate of the rate.
    share : array, shape (s, b)
        Of each band in the logarithm of the flux that is this coordinate, of unit sum over the bands.
    names : tuple of str
        Of the bands.
    outputs : tuple of int
        The emulator's output for each band.
    is_proportional : bool
        See :func:`build`.
    confusion_scale : float, optional [mJy/beam]
        See :func:`bayesastro.models.spectra.deblending.observe_maps`.
    """
    num = photometric.shape[0]
    slope = numpyro.sample("slope", dist.Normal(*RELATION["slope"]))
    pivot, (middle, wide) = photometric[:, 0].mean(), RELATION["intercept"]
    level = numpyro.sample("level", dist.Normal(middle + slope * pivot, wide))  # at the pivot it is free of the slope
    intercept = jnp.asarray(numpyro.deterministic("intercept", level - slope * pivot))
    spread = numpyro.sample("sfr_spread", dist.HalfNormal(0.5))
    box = emulator.domain
    domain: dict[str, Any] = dict(zip(box.names, zip(box.low, box.high, strict=True), strict=True))
    low, high = domain["redshift"]
    z = numpyro.sample(
        "redshift", dist.TruncatedNormal(photometric[:, 0], photometric[:, 1], low=low, high=high).to_event(1)
    )
    inputs: dict[str, Any] = {
        "redshift": z,
        "agn_fraction": numpyro.sample("agn_fraction", dist.Beta(1.0, 3.0).expand([num]).to_event(1)),
    }
    for name, (mean, sd) in NUISANCE.items():
        low, high = domain[name]
        law = dist.TruncatedNormal(mean, sd, low=low, high=high)
        inputs[name] = numpyro.sample(name, law.expand([num]).to_event(1))
    columns = jnp.array(outputs)
    typical = scaled_log_flux(emulator, {**inputs, "log_sfr": jnp.full(num, REFERENCE)})[:, columns]
    per_rate = (share * typical).sum(1) / jnp.log(10.0) - REFERENCE  # log10 of the flux at 1 M☉/yr
    mean, scale = slope * z + intercept, spread ** (1.0 - shown)
    law = dist.Normal(shown * (mean + per_rate) / scale, spread**shown)
    rate = numpyro.sample("rate", law.to_event(1))
    log_sfr = jnp.asarray(numpyro.deterministic("log_sfr", (1.0 - shown) * mean - shown * per_rate + scale * rate))
    if is_proportional:
        log_flux = typical + jnp.log(10.0) * (log_sfr - REFERENCE)[:, None]
    else:
        log_flux = scaled_log_flux(emulator, {**inputs, "log_sfr": log_sfr})[:, columns]
    flux = jnp.asarray(numpyro.deterministic("flux", jnp.exp(log_flux.T)))
    observe_maps(flux, bands, names, confusion_scale)


def build(
    maps: Mapping[str, ConfusedMap],
    emulator: SedEmulator,
    *,
    redshift: tuple[Any, Any],
    outputs: Mapping[str, str] | None = None,
    is_proportional: bool = True,
    confusion_scale: float | None = 0.5,
) -> Problem:
    """The program with maps.

    Parameters
    ----------
    maps : mapping of str to ConfusedMap
        By the names of the bands, with the same sources in the same order. Their bounds of fluxes are not used. The brightness
        of a band is the observed site ``map_{name}``; fluxes are the deterministic site ``flux``, shape (band, source).
    emulator : SedEmulator
        With the inputs of :data:`~bayesastro.simulators.spectra.sed_emulator.CIGALE_INPUTS`.
    redshift : (mean, sd)
        Photometric redshifts: numbers for all sources, or arrays of shape (s,).
    outputs : mapping of str to str, optional
        Output of the emulator for each band; by default :data:`SPIRE`.
    is_proportional : bool
        Whether fluxes are proportional to the star-formation rate at all else equal, as CIGALE's are, with the network asked at
        a rate in the middle of its training only. Otherwise the network is asked at each rate, as published: it learnt the
        proportion to some ten per cent, which bright sources notice, and chains need many times the steps.
    confusion_scale : float, optional [mJy/beam]
        See :func:`bayesastro.models.spectra.deblending.observe_maps`; None, as published, for no confusion noise.

    Raises
    ------
    ValueError
        If maps are not as they should be (see :func:`bayesastro.models.spectra.deblending.build`), the emulator lacks an
        input or a band, or redshifts lie outside its domain or have no positive standard deviation.
    """
    bands = bands_of(maps, confusion_scale)
    outputs = SPIRE if outputs is None else outputs
    named = {name: outputs.get(name) for name in maps}
    if unknown := {name: output for name, output in named.items() if output not in emulator.outputs}:
        raise ValueError(
            f"Each band needs one of the emulator's outputs {list(emulator.outputs)}, but `outputs` gives {unknown}."
        )
    if missing := {"log_sfr", "redshift", "agn_fraction", *NUISANCE} ^ set(emulator.domain.names):
        raise ValueError(
            f"The emulator must have the inputs of CIGALE's, but {sorted(missing)} are missing or too many."
        )
    num = len(next(iter(maps.values())).source_x)
    try:
        mean, sd = (np.broadcast_to(np.asarray(part, float), num) for part in redshift)
    except ValueError as error:
        shapes = [np.shape(part) for part in redshift]
        raise ValueError(
            f"`redshift` must be means and sds, numbers or one for each of {num} sources, but shapes {shapes} came."
        ) from error
    emulator.domain.require("redshift", mean)
    if not (np.isfinite(sd) & (sd > 0)).all():
        raise ValueError(f"Standard deviations of redshifts must be positive, but {sd[~(sd > 0)][:1]} came.")
    information = _information(maps)
    return Problem(
        program,
        bands,
        emulator,
        np.stack([mean, sd], axis=1),
        shown=information.sum(1) / (information.sum(1) + RATE_SPREAD**-2),
        share=(information + TINY) / (information + TINY).sum(1, keepdims=True),
        names=tuple(maps),
        outputs=tuple(emulator.outputs.index(named[name]) for name in maps),
        is_proportional=bool(is_proportional),
        confusion_scale=None if confusion_scale is None else float(confusion_scale),
        observed={f"map_{name}": np.asarray(m.brightness, float) for name, m in maps.items()},
    ).with_units(units_of(maps))


def _information(maps: Mapping[str, ConfusedMap]) -> Float[np.ndarray, "s b"]:
    """Precision of log10 of each flux, from least squares with fluxes not below zero and without their correlations."""
    parts = []
    for one in maps.values():
        weight, size = 1 / np.asarray(one.noise, float), one.source_x.size
        entries = (one.beam * weight[one.pixel], (one.pixel, one.source))
        design = sparse.coo_array(entries, (weight.size, size)).tocsr()
        whole = sparse.hstack([design, sparse.coo_array(weight[:, None])]).tocsr()
        bounds = (np.append(np.zeros(size), -np.inf), np.inf)
        flux = optimize.lsq_linear(whole, one.brightness * weight, bounds, lsq_solver="lsmr").x[:-1]
        parts.append((flux * np.log(10.0)) ** 2 * np.asarray(design.power(2).sum(0)).ravel())
    return np.stack(parts, axis=1)
