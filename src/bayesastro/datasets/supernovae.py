"""Type Ia supernovae: light-curve fits of single ones, and compressed Hubble diagrams, from the files published.

The files belong to their authors and are not part of the package; each reader says where to find its own.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

__all__ = [
    "HubbleDiagram",
    "SupernovaTable",
    "read_jla",
    "read_jla_binned",
    "read_pantheon_binned",
    "read_union3",
]

JLA_SURVEYS = ("SNLS", "SDSS", "low-z", "HST")
"""Of the numbers 1 to 4 in the column ``set``."""

JLA_COHERENT = (0.080, 0.108, 0.134, 0.100)
"""Coherent dispersion [mag] of the four surveys, which the published errors of m_B contain (Betoule et al. 2014, table 9)."""

_JLA = "Betoule et al. (2014), A&A 568, A22 (arXiv:1401.4064)"
_PANTHEON = "Scolnic et al. (2018), ApJ 859, 101 (arXiv:1710.00845)"
_UNION3 = "Rubin et al. (2025), ApJ 986, 231 (arXiv:2311.12098)"


@dataclass(frozen=True, kw_only=True, eq=False)
class SupernovaTable:
    """Light-curve fits of single supernovae.

    Parameters
    ----------
    name : tuple of str
    z_cmb, z_hel : (n,) arrays
        Redshifts in the frame of the microwave background, corrected for peculiar velocities, and heliocentric.
    fit : (n, 3) array
        Apparent B magnitude at maximum m_B, stretch x₁ and colour c.
    covariance : (n, 3, 3) array
        Of `fit`, without intrinsic dispersion; m_B's with lensing and peculiar velocities.
    host_mass : (n,) array
        log₁₀ of the host's stellar mass in solar masses.
    survey : (n,) array of int
        Index into `survey_names`.
    survey_names : tuple of str
    citation : str
    """

    name: tuple[str, ...]
    z_cmb: Float[np.ndarray, " n"]
    z_hel: Float[np.ndarray, " n"]
    fit: Float[np.ndarray, "n 3"]
    covariance: Float[np.ndarray, "n 3 3"]
    host_mass: Float[np.ndarray, " n"]
    survey: Int[np.ndarray, " n"]
    survey_names: tuple[str, ...]
    citation: str


@dataclass(frozen=True, kw_only=True, eq=False)
class HubbleDiagram:
    """Magnitudes or distance moduli by redshift, with their covariance.

    Parameters
    ----------
    z_cmb, z_hel : (n,) arrays
    magnitude : (n,) array [mag]
        Up to a constant that the data do not know.
    is_modulus : bool
        Whether they are distance moduli, and not apparent magnitudes.
    covariance : (n, n) array [mag²]
    citation : str
    """

    z_cmb: Float[np.ndarray, " n"]
    z_hel: Float[np.ndarray, " n"]
    magnitude: Float[np.ndarray, " n"]
    is_modulus: bool
    covariance: Float[np.ndarray, "n n"]
    citation: str


def read_jla(path: str | Path) -> SupernovaTable:
    """The 740 supernovae of the Joint Light-curve Analysis.

    Parameters
    ----------
    path : path
        Of ``jla_lcparams.txt``, from the release at supernovae.in2p3.fr/sdss_snls_jla.

    Raises
    ------
    FileNotFoundError
    ValueError
        If a row does not have the release's columns, or a covariance is not positive definite.
    """
    fitted = ("zcmb", "zhel", "mb", "dmb", "x1", "dx1", "color", "dcolor", "3rdvar")
    names, columns = _columns(path, (*fitted, "cov_m_s", "cov_m_c", "cov_s_c", "set"))
    survey = columns["set"].astype(int) - 1
    if not ((survey >= 0) & (survey < len(JLA_SURVEYS))).all():
        raise ValueError(
            f"The column `set` of `{path}` must hold 1 to {len(JLA_SURVEYS)}, as that of the release does."
        )
    covariance = np.empty((len(names), 3, 3))
    variance_m = columns["dmb"] ** 2 - np.array(JLA_COHERENT)[survey] ** 2
    for i, variance in enumerate((variance_m, columns["dx1"] ** 2, columns["dcolor"] ** 2)):
        covariance[:, i, i] = variance
    for name, i, j in (("cov_m_s", 0, 1), ("cov_m_c", 0, 2), ("cov_s_c", 1, 2)):
        covariance[:, i, j] = covariance[:, j, i] = columns[name]
    lowest = np.linalg.eigvalsh(covariance)[:, 0]
    worst = int(np.argmin(lowest))
    if lowest[worst] <= 0:
        raise ValueError(f"The covariance of `{names[worst]}` in `{path}` is not positive definite. Get the file anew.")
    return SupernovaTable(
        name=names,
        z_cmb=columns["zcmb"],
        z_hel=columns["zhel"],
        fit=np.stack([columns["mb"], columns["x1"], columns["color"]], axis=1),
        covariance=covariance,
        host_mass=columns["3rdvar"],
        survey=survey,
        survey_names=JLA_SURVEYS,
        citation=_JLA,
    )


def read_jla_binned(folder: str | Path) -> HubbleDiagram:
    """JLA's 31 distance moduli, statistical and systematic errors together.

    Parameters
    ----------
    folder : path
        With ``jla_binned_distances_31nodes_v1.txt`` and ``cov_jla_binned_distances_31nodes_v1.txt``.

    Raises
    ------
    FileNotFoundError
    ValueError
        If the sizes do not fit.
    """
    z, mu = np.loadtxt(Path(folder) / "jla_binned_distances_31nodes_v1.txt", unpack=True)
    covariance = np.loadtxt(Path(folder) / "cov_jla_binned_distances_31nodes_v1.txt", skiprows=1)
    return _diagram(z, z, mu, covariance.reshape(-1), _JLA, True)


def read_pantheon_binned(folder: str | Path) -> HubbleDiagram:
    """Pantheon's 40 bins, statistical and systematic errors together.

    Parameters
    ----------
    folder : path
        With ``lcparam_DS17f.txt`` and ``sys_DS17f.txt``, from github.com/dscolnic/Pantheon.

    Raises
    ------
    FileNotFoundError
    ValueError
        If the sizes do not fit.
    """
    _, columns = _columns(Path(folder) / "lcparam_DS17f.txt", ("zcmb", "zhel", "mb", "dmb"))
    systematic = np.loadtxt(Path(folder) / "sys_DS17f.txt")[1:]
    statistical = np.diag(columns["dmb"] ** 2).reshape(-1)
    if systematic.shape != statistical.shape:
        raise ValueError(f"`sys_DS17f.txt` holds {systematic.size} numbers, but there are {len(columns['mb'])} bins.")
    return _diagram(columns["zcmb"], columns["zhel"], columns["mb"], statistical + systematic, _PANTHEON, False)


def read_union3(folder: str | Path) -> HubbleDiagram:
    """Union3's 22 distance moduli of UNITY1.5.

    Parameters
    ----------
    folder : path
        With ``lcparam_full.txt`` and ``mag_covmat.txt``, from github.com/CobayaSampler/sn_data (Union3).

    Raises
    ------
    FileNotFoundError
    ValueError
        If the sizes do not fit.
    """
    _, columns = _columns(Path(folder) / "lcparam_full.txt", ("zcmb", "zhel", "mb"))
    covariance = np.loadtxt(Path(folder) / "mag_covmat.txt")[1:]
    return _diagram(columns["zcmb"], columns["zhel"], columns["mb"], covariance, _UNION3, True)


def _diagram(
    z_cmb: np.ndarray, z_hel: np.ndarray, magnitude: np.ndarray, covariance: np.ndarray, citation: str, is_modulus: bool
) -> HubbleDiagram:
    """With the covariance as it comes from a file, in one row."""
    n = len(z_cmb)
    if covariance.size != n * n:
        raise ValueError(f"A covariance of {n} × {n} numbers is needed for {n} redshifts, but {covariance.size} came.")
    square = covariance.reshape(n, n)
    return HubbleDiagram(
        z_cmb=z_cmb,
        z_hel=z_hel,
        magnitude=magnitude,
        is_modulus=is_modulus,
        covariance=0.5 * (square + square.T),
        citation=citation,
    )


def _columns(path: str | Path, wanted: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Names of the rows, and columns by name, of a table whose first line is ``#name zcmb zhel ...``."""
    lines = Path(path).read_text().splitlines()
    header = lines[0].lstrip("#").split() if lines else []
    if missing := [name for name in wanted if name not in header]:
        raise ValueError(f"`{path}` must have a first line with the columns {list(wanted)}, but {missing} are missing.")
    rows = [line.split() for line in lines[1:] if line.strip()]
    needed = 1 + max(header.index(name) for name in wanted)
    if any(len(row) < needed for row in rows):
        raise ValueError(f"Each row of `{path}` must have {needed} columns at least, as its first line says.")
    return tuple(row[0] for row in rows), {
        name: np.array([float(row[header.index(name)]) for row in rows]) for name in wanted
    }
