r"""Fluxes of catalogued sources from confused maps, with spectral energy distributions as their prior: XID+ with an emulator.

Each source is a galaxy whose star-formation rate follows a relation that the maps learn with the fluxes,

.. math:: \log_{10} \mathrm{SFR}_s \sim \mathcal N(m z_s + c, \sigma),

and whose fluxes in all bands are those of a network trained on CIGALE. As published, with two differences: the confusion noise of
the flat program is kept, and log SFR is counted from its mean in units of σ, which is the same prior. In CIGALE fluxes are
proportional to the star-formation rate at all else equal; beyond the range of rates the network was trained on that law takes over.

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

from bayesastro.datasets.confused_maps import ConfusedMap
from bayesastro.models.spectra.deblending import Band, bands_of, observe_maps
from bayesastro.problem import Problem
from bayesastro.simulators.spectra.sed_emulator import SedEmulator, scaled_log_flux

__all__ = ["SPIRE", "build", "program"]

SPIRE = {"psw250": "spire_250", "pmw350": "spire_350", "plw500": "spire_500"}
"""Bands of the published tile and the emulator's outputs."""

RELATION = {"slope": (0.8, 0.4), "intercept": (-1.0, 0.5)}
"""Mean and sd of the priors of m and c."""

NUISANCE = {"attenuation": (2.0, 1.0), "dust_slope": (2.0, 1.0), "log_tau": (3.4, 0.3)}
"""Mean and sd of the priors of the other inputs, normal within the domain: broad, and ours, for the published were each field's."""


def program(
    bands: tuple[Band, ...],
    emulator: SedEmulator,
    photometric: Float[Array, "s 2"],
    *,
    names: tuple[str, ...],
    outputs: tuple[int, ...],
    confusion_scale: float | None,
) -> None:
    """Maps of galaxies.

    Parameters
    ----------
    bands : tuple of Band
    emulator : SedEmulator
    photometric : array, shape (s, 2)
        Mean and standard deviation of each source's photometric redshift, a normal cut to the emulator's domain.
    names : tuple of str
        Of the bands.
    outputs : tuple of int
        The emulator's output for each band.
    confusion_scale : float, optional [mJy/beam]
        See :func:`bayesastro.models.spectra.deblending.observe_maps`.
    """
    num = photometric.shape[0]
    slope = numpyro.sample("slope", dist.Normal(*RELATION["slope"]))
    intercept = numpyro.sample("intercept", dist.Normal(*RELATION["intercept"]))
    spread = numpyro.sample("sfr_spread", dist.HalfNormal(0.5))
    domain: dict[str, Any] = dict(zip(emulator.inputs, zip(emulator.lower, emulator.upper, strict=True), strict=True))
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
    offset = numpyro.sample("sfr_offset", dist.Normal(0.0, 1.0).expand([num]).to_event(1))
    log_sfr = jnp.asarray(numpyro.deterministic("log_sfr", slope * z + intercept + spread * offset))
    log_flux = scaled_log_flux(emulator, {**inputs, "log_sfr": log_sfr})
    flux = jnp.asarray(numpyro.deterministic("flux", jnp.exp(log_flux[:, jnp.array(outputs)].T)))
    observe_maps(flux, bands, names, confusion_scale)


def build(
    maps: Mapping[str, ConfusedMap],
    emulator: SedEmulator,
    *,
    redshift: tuple[Any, Any],
    outputs: Mapping[str, str] | None = None,
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
    if missing := {"log_sfr", "redshift", "agn_fraction", *NUISANCE} ^ set(emulator.inputs):
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
    emulator.require_within("redshift", mean)
    if not (np.isfinite(sd) & (sd > 0)).all():
        raise ValueError(f"Standard deviations of redshifts must be positive, but {sd[~(sd > 0)][:1]} came.")
    return Problem(
        program,
        bands,
        emulator,
        np.stack([mean, sd], axis=1),
        names=tuple(maps),
        outputs=tuple(emulator.outputs.index(named[name]) for name in maps),
        confusion_scale=None if confusion_scale is None else float(confusion_scale),
        observed={f"map_{name}": np.asarray(m.brightness, float) for name, m in maps.items()},
    )
