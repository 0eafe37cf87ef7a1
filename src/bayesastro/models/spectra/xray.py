"""X-ray spectra of one source, seen by one detector or several: absorbed sums of components, Poisson counts, background.

References
----------
Dupourqué et al. (2024), A&A 690, A317 (jaxspec: the default priors, and the fit of NGC 7793 ULX-4);
Cash (1979), ApJ 228, 939 (Poisson likelihood).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from bayesastro.datasets.xray_spectra import CrossSections, XraySpectrum
from bayesastro.models.spectra.xray_background import (
    Background,
    BackgroundKind,
    background_of,
    checked_kind,
    observe,
    observed_counts,
)
from bayesastro.problem import Problem
from bayesastro.simulators.spectra.photon_spectra import (
    BlackBody,
    CutoffPowerLaw,
    GaussianLine,
    PowerLaw,
    Product,
    Spectrum,
    Sum,
    Transmission,
)
from bayesastro.simulators.spectra.response import Response, folded, response_of

__all__ = ["COMPONENTS", "Detector", "Prior", "build", "expected_counts", "program", "source_counts", "source_of"]

Prior = float | tuple[Literal["uniform", "log_uniform", "normal", "log_normal"], float, float]
"""A fixed value, or a law and its two numbers: the ends; mean and sd; or median and sd of the logarithm."""

LAWS: dict[str, Callable[[float, float], dist.Distribution]] = {
    "uniform": dist.Uniform,
    "log_uniform": dist.LogUniform,
    "normal": dist.Normal,
    "log_normal": lambda median, spread: dist.LogNormal(np.log(median), spread),
}

COMPONENTS: dict[str, tuple[Callable[..., Spectrum], dict[str, Prior]]] = {
    "powerlaw": (PowerLaw, {"photon_index": ("uniform", 0.0, 5.0), "norm": ("log_uniform", 1e-5, 1e-2)}),
    "cutoff": (
        CutoffPowerLaw,
        {
            "photon_index": ("uniform", 0.0, 5.0),
            "cutoff": ("log_uniform", 0.5, 500.0),
            "norm": ("log_uniform", 1e-5, 1e-2),
        },
    ),
    "blackbody": (BlackBody, {"kT": ("uniform", 0.0, 5.0), "norm": ("log_uniform", 1e-2, 1e2)}),
    "line": (
        GaussianLine,
        {
            "energy": ("uniform", 6.2, 7.0),
            "sigma": ("log_uniform", 1e-3, 0.5),
            "norm": ("log_uniform", 1e-8, 1e-3),
        },
    ),
}
"""Constructors of components with the priors of their parameters; those of power law and black body are jaxspec's."""

COLUMN_DENSITY: Prior = ("uniform", 0.0, 1.0)


class Detector(NamedTuple):
    """Response, mean cross-sections in its energy bins [10⁻²² cm²], and background."""

    response: Response
    cross_section: Float[Array | np.ndarray, " n"]
    background: Background


def program(
    detectors: tuple[Detector, ...],
    *,
    names: tuple[str, ...],
    components: tuple[str, ...],
    priors: Mapping[str, Prior],
    background: BackgroundKind,
    background_shape: float,
    calibration_spread: float,
    absorption: str,
    abundances: str,
) -> None:
    """Counts of an absorbed source in the groups of each detector, and of its background region.

    Parameters
    ----------
    detectors : tuple of Detector
    names : tuple of str
        Of the detectors: prefixes of their sites.
    components : tuple of str
        Keys of `COMPONENTS`, that are summed; a second one of a kind has the number 2 after its name.
    priors : mapping of str to Prior
        Of all parameters by name: ``nH`` [10²² cm⁻²], ``powerlaw_norm``, …
    background, background_shape
        See :func:`bayesastro.models.spectra.xray_background.observe`.
    calibration_spread : float
        Standard deviation of the logarithm of each further detector's factor on the effective area.
    absorption, abundances : str
        Names of the cross-sections, recorded with results.
    """
    values = {
        name: prior if isinstance(prior, float) else numpyro.sample(name, _law(prior)) for name, prior in priors.items()
    }
    for i, (name, detector) in enumerate(zip(names, detectors, strict=True)):
        expected = expected_counts(detector, values, components)
        if i > 0:
            expected = expected * numpyro.sample(f"{name}factor", dist.LogNormal(0.0, calibration_spread))
        observe(expected, detector.background, kind=background, shape=background_shape, prefix=name)


def _law(prior: Prior) -> dist.Distribution:
    law, first, second = prior  # pyright: ignore[reportGeneralTypeIssues]
    return LAWS[law](first, second)


def source_of(values: Mapping[str, Any], components: Sequence[str]) -> Sum:
    """The sum of components, not absorbed, of parameters by name."""
    parts = []
    for name, (make, parameters) in _numbered(components).items():
        parts.append(make(*(values[f"{name}_{parameter}"] for parameter in parameters)))
    return Sum(tuple(parts))


def expected_counts(detector: Detector, values: Mapping[str, Any], components: Sequence[str]) -> Float[Array, " g"]:
    """Expected counts of the absorbed source in a detector's groups, without background.

    Parameters
    ----------
    detector : Detector
    values : mapping of str to scalar
        Parameters by name, fixed ones included.
    components : sequence of str
    """
    absorber = Transmission(values["nH"], detector.cross_section)
    return folded(Product((source_of(values, components), absorber)), detector.response)


def source_counts(
    problem: Problem, draws: Mapping[str, Any], *, components: Sequence[str] | None = None
) -> dict[str, Float[np.ndarray, "draw g"]]:
    """Expected counts of the source in the groups of each detector, without background, for draws of the parameters.

    Parameters
    ----------
    problem : Problem
        From `build`.
    draws : mapping of str to array, shape (draw,)
        Parameters by name; others are left aside.
    components : sequence of str, optional
        Only these of the program's; by default all.

    Returns
    -------
    dict of str to array, shape (draw, g)
        By the prefix of the detector's sites, which is empty for a single one.
    """
    (detectors,), settings = problem.static_program.arguments(problem.data.arrays)
    chosen = tuple(components or settings["components"])
    fixed = {name: prior for name, prior in settings["priors"].items() if isinstance(prior, float)}
    free = [site.name for site in problem.parameters if site.name in settings["priors"] or site.name.endswith("factor")]
    counts = {}
    with jax.enable_x64(True):
        values = {name: jnp.asarray(np.asarray(draws[name]), float) for name in free}
        for i, (name, detector) in enumerate(zip(settings["names"], detectors, strict=True)):

            def one(theta: dict[str, Array], detector: Detector = detector) -> Array:
                return expected_counts(detector, theta | fixed, chosen)

            factor = np.asarray(draws[f"{name}factor"])[:, None] if i > 0 else 1.0
            counts[name] = factor * np.asarray(jax.jit(jax.vmap(one))(values))
    return counts


def _numbered(components: Sequence[str]) -> dict[str, tuple[Callable[..., Spectrum], dict[str, Prior]]]:
    """Components by the names that their parameters begin with."""
    named: dict[str, tuple[Callable[..., Spectrum], dict[str, Prior]]] = {}
    for i, component in enumerate(components):
        number = 1 + list(components[:i]).count(component)
        named[component if number == 1 else f"{component}{number}"] = COMPONENTS[component]
    return named


def build(
    spectra: XraySpectrum | Mapping[str, XraySpectrum],
    cross_sections: CrossSections,
    *,
    components: Sequence[str] = ("powerlaw",),
    priors: Mapping[str, Prior] | None = None,
    background: BackgroundKind | None = None,
    background_shape: float = 1.0,
    calibration_spread: float = 0.1,
) -> Problem:
    """The program with the spectra of one source.

    The prior of the background is empirical in one number for each spectrum: its level per keV in the background region is
    that of all counts there.

    Parameters
    ----------
    spectra : XraySpectrum, or mapping of str to XraySpectrum
        One spectrum, with the sites ``counts`` and ``background_counts``; or several by the detectors' names, with the
        sites ``pn_counts`` and so on, and a factor ``mos1_factor`` on the area of all but the first.
    cross_sections : CrossSections
        Of the absorption; its name and set of abundances go into results.
    components : sequence of str
        Keys of `COMPONENTS`, that are summed.
    priors : mapping of str to Prior, optional
        Of parameters by name, instead of the defaults; a number fixes one.
    background : {"none", "marginal", "latent", "smooth"}, optional
        See :func:`bayesastro.models.spectra.xray_background.observe`. By default "marginal" where there is a background, else "none".
    background_shape : float
        Of the Gamma prior of background rates.
    calibration_spread : float
        See :func:`program`.

    Raises
    ------
    ValueError
        If a component, prior or kind of background is unknown, a spectrum has no background that is asked for, the
        cross-sections do not cover a response, or a number is not positive.
    """
    spectra = {"": spectra} if isinstance(spectra, XraySpectrum) else {f"{k}_": v for k, v in spectra.items()}
    _check(spectra, components, background_shape, calibration_spread)
    kind = checked_kind(spectra, background, "marginal")
    detectors = tuple(_detector(s, cross_sections, kind, background_shape) for s in spectra.values())
    return Problem(
        program,
        detectors,
        names=tuple(spectra),
        components=tuple(components),
        priors=_priors(components, priors or {}),
        background=kind,
        background_shape=float(background_shape),
        calibration_spread=float(calibration_spread),
        absorption=cross_sections.name,
        abundances=cross_sections.abundances,
        observed=observed_counts(spectra, kind),
    ).with_units({"nH": "1e22 / cm2", **{f"{name}_kT": "keV" for name in components}})


def _priors(components: Sequence[str], given: Mapping[str, Prior]) -> dict[str, Prior]:
    priors: dict[str, Prior] = {"nH": COLUMN_DENSITY}
    for name, (_, parameters) in _numbered(components).items():
        priors |= {f"{name}_{parameter}": prior for parameter, prior in parameters.items()}
    if unknown := sorted(set(given) - set(priors)):
        raise ValueError(f"`priors` has {unknown}, which are no parameters. There are {list(priors)}.")
    for name, prior in given.items():
        is_law = isinstance(prior, tuple) and len(prior) == 3 and prior[0] in LAWS
        if not is_law and not isinstance(prior, int | float):
            raise ValueError(
                f"The prior of `{name}` must be a number, which fixes it, or one of {list(LAWS)} with two numbers, as "
                f'("uniform", 0.0, 1.0), but {prior!r} came.'
            )
        priors[name] = (prior[0], float(prior[1]), float(prior[2])) if isinstance(prior, tuple) else float(prior)
    return priors


def _detector(spectrum: XraySpectrum, cross_sections: CrossSections, kind: BackgroundKind, shape: float) -> Detector:
    response = response_of(spectrum.edges, spectrum.matrix, spectrum.exposure)
    return Detector(response, cross_sections.binned(spectrum.edges), background_of(spectrum, kind, shape))


def _check(
    spectra: Mapping[str, XraySpectrum],
    components: Sequence[str],
    background_shape: float,
    calibration_spread: float,
) -> None:
    if not spectra:
        raise ValueError("`spectra` must hold at least one spectrum, but is empty.")
    if isinstance(components, str) or not components or any(c not in COMPONENTS for c in components):
        raise ValueError(f"`components` must be a sequence of some of {list(COMPONENTS)}, but {components!r} came.")
    if not background_shape > 0 or not calibration_spread > 0:
        raise ValueError(
            f"`background_shape` and `calibration_spread` must be positive, but {background_shape} and {calibration_spread} came."
        )
