r"""Baryon acoustic oscillations: the 13 distances of DESI Data Release 2.

Each figure is a distance in units of the sound horizon at the drag epoch,
:math:`D_V / r_d`, :math:`D_M / r_d` or :math:`D_H / r_d`, at the effective redshift of
a sample of galaxies, quasars or Lyman-alpha forests. Errors are Gaussian and
correlated only between the two distances of one sample.

The figures are those of the collaboration's compilation for the combined galactic
caps, with all its digits, in its order (the Lyman-alpha pair has D_H first). The files
of that compilation write ``rs`` for what the paper calls :math:`r_d`.

References
----------
DESI Collaboration (2025), "DESI DR2 Results II: Measurements of Baryon Acoustic
Oscillations and Cosmological Constraints", arXiv:2503.14738, Table 4 (CC BY 4.0).
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

__all__ = ["DH_OVER_RD", "DM_OVER_RD", "DV_OVER_RD", "BAOTable", "desi_dr2_bao"]

DV_OVER_RD, DM_OVER_RD, DH_OVER_RD = 0, 1, 2
"""Codes of the three kinds of distance in `BAOTable.kind`."""

_KIND_NAMES = ("DV_over_rd", "DM_over_rd", "DH_over_rd")

_CITATION = (
    "DESI Collaboration (2025), DESI DR2 Results II: Measurements of Baryon Acoustic "
    "Oscillations and Cosmological Constraints, arXiv:2503.14738, Table 4 (CC BY 4.0)"
)

# tracer, effective redshift, kind, value
_MEASUREMENTS = (
    ("BGS", 0.295, DV_OVER_RD, 7.94167639),
    ("LRG1", 0.51, DM_OVER_RD, 13.58758434),
    ("LRG1", 0.51, DH_OVER_RD, 21.86294686),
    ("LRG2", 0.706, DM_OVER_RD, 17.35069094),
    ("LRG2", 0.706, DH_OVER_RD, 19.45534918),
    ("LRG3+ELG1", 0.934, DM_OVER_RD, 21.57563956),
    ("LRG3+ELG1", 0.934, DH_OVER_RD, 17.64149464),
    ("ELG2", 1.321, DM_OVER_RD, 27.60085612),
    ("ELG2", 1.321, DH_OVER_RD, 14.17602155),
    ("QSO", 1.484, DM_OVER_RD, 30.51190063),
    ("QSO", 1.484, DH_OVER_RD, 12.81699964),
    ("Lya", 2.33, DH_OVER_RD, 8.631545674846294),
    ("Lya", 2.33, DM_OVER_RD, 38.988973961958784),
)

# Covariance of each sample, in the order above; zero between samples.
_BLOCKS = (
    ((5.78998687e-03,),),
    ((2.83473742e-02, -3.26062007e-02), (-3.26062007e-02, 1.83928040e-01)),
    ((3.23752442e-02, -2.37445646e-02), (-2.37445646e-02, 1.11469198e-01)),
    ((2.61732816e-02, -1.12938006e-02), (-1.12938006e-02, 4.04183878e-02)),
    ((1.05336516e-01, -2.90308418e-02), (-2.90308418e-02, 5.04233092e-02)),
    ((5.83020277e-01, -1.95215562e-01), (-1.95215562e-01, 2.68336193e-01)),
    ((1.02136194e-02, -2.31395216e-02), (-2.31395216e-02, 2.82685779e-01)),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class BAOTable:
    """Distances over the sound horizon with their covariance.

    Parameters
    ----------
    z : (n,) array
        Effective redshifts.
    kind : (n,) array of int
        What was measured: an index into `kind_names`.
    kind_names : tuple of str
        ``("DV_over_rd", "DM_over_rd", "DH_over_rd")``.
    value : (n,) array
        Distance over r_d, without unit.
    covariance : (n, n) array
        Covariance of `value`.
    tracer : tuple of str
        Name of the sample behind each figure.
    citation : str
        What to cite.
    """

    z: Float[np.ndarray, " n"]
    kind: Int[np.ndarray, " n"]
    kind_names: tuple[str, ...]
    value: Float[np.ndarray, " n"]
    covariance: Float[np.ndarray, "n n"]
    tracer: tuple[str, ...]
    citation: str


def desi_dr2_bao() -> BAOTable:
    """The 13 BAO distances of DESI DR2 and their 13 x 13 covariance.

    Returns
    -------
    BAOTable
        Seven samples at 0.295 <= z <= 2.33.

    References
    ----------
    DESI Collaboration (2025), arXiv:2503.14738, Table 4.
    """
    tracer, z, kind, value = zip(*_MEASUREMENTS, strict=True)
    return BAOTable(
        z=np.array(z),
        kind=np.array(kind),
        kind_names=_KIND_NAMES,
        value=np.array(value),
        covariance=np.asarray(scipy.linalg.block_diag(*_BLOCKS)),
        tracer=tracer,
        citation=_CITATION,
    )
