r"""Responses of photon-counting detectors: photons per energy bin become expected counts per group of channels.

.. math:: \mu_g = T \sum_e R_{ge} F_e, \qquad R_{ge} = \sum_{c \in g} \mathrm{RMF}_{ce} \, \mathrm{ARF}_e

with the exposure T and the photons F of an energy bin. Grouping and effective area are in the matrix once and for all.

References
----------
Davis (2001), ApJ 548, 1010, equation 1; George et al. (2007), OGIP Calibration Memo CAL/GEN/92-002 (the files).
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

__all__ = ["DenseMatrix", "Response", "SparseMatrix", "folded", "matrix_of", "response_of"]

DENSE_SHARE = 0.03
"""Of non-zero elements: with fewer the sparse form is quicker."""


class DenseMatrix(eqx.Module):
    """All elements [cm²], shape (g, n)."""

    elements: Float[Array | np.ndarray, "g n"]

    def __call__(self, photons: Float[Array, " n"]) -> Float[Array, " g"]:
        return jnp.asarray(self.elements) @ photons


class SparseMatrix(eqx.Module):
    """Non-zero elements [cm²] in order of their rows, with their places."""

    elements: Float[Array | np.ndarray, " k"]
    row: Int[Array | np.ndarray, " k"]
    column: Int[Array | np.ndarray, " k"]
    num_rows: int = eqx.field(static=True)

    def __call__(self, photons: Float[Array, " n"]) -> Float[Array, " g"]:
        terms = jnp.asarray(self.elements) * photons[jnp.asarray(self.column)]
        return jax.ops.segment_sum(terms, jnp.asarray(self.row), self.num_rows, indices_are_sorted=True)


def matrix_of(elements: Float[np.ndarray, "g n"]) -> DenseMatrix | SparseMatrix:
    """A matrix in the form that is quicker: dense unless nearly all of it is zero."""
    if np.count_nonzero(elements) > DENSE_SHARE * elements.size:
        return DenseMatrix(np.asarray(elements, float))
    row, column = np.nonzero(elements)
    return SparseMatrix(np.asarray(elements[row, column], float), row, column, elements.shape[0])


class Response(eqx.Module):
    """A detector: edges of its energy bins, matrix, and exposure.

    Parameters
    ----------
    edges : array, shape (n + 1,) [keV]
    matrix : DenseMatrix or SparseMatrix, shape (g, n) [cm²]
        Effective area times the probability of a group of channels.
    exposure : scalar [s]
    """

    edges: Float[Array | np.ndarray, " m"]
    matrix: DenseMatrix | SparseMatrix
    exposure: Float[Array | np.ndarray, ""]

    def __call__(self, photons: Float[Array, " n"]) -> Float[Array, " g"]:
        """Expected counts of photons per energy bin [cm⁻² s⁻¹]."""
        return jnp.asarray(self.exposure) * self.matrix(photons)


def response_of(edges: Float[np.ndarray, " m"], elements: Float[np.ndarray, "g n"], exposure: float) -> Response:
    """A response from plain arrays.

    Raises
    ------
    ValueError
        If the edges are not positive and increasing, one more than the columns, or the exposure is not positive.
    """
    edges = np.asarray(edges, float)
    if len(edges) != elements.shape[1] + 1 or not (edges[0] > 0 and (np.diff(edges) > 0).all()):
        raise ValueError(
            f"`edges` must be {elements.shape[1] + 1} positive and increasing energies in keV, one more than the matrix has "
            f"columns, but {len(edges)} from {edges.min():g} to {edges.max():g} came."
        )
    if not exposure > 0:
        raise ValueError(f"`exposure` must be a positive number of seconds, but {exposure!r} came.")
    return Response(edges, matrix_of(elements), np.asarray(exposure, float))


def folded(spectrum: Callable[[Float[Array, " m"]], Float[Array, " n"]], response: Response) -> Float[Array, " g"]:
    """Expected counts of a spectrum as a detector sees it.

    Parameters
    ----------
    spectrum : callable
        As in :mod:`bayesastro.simulators.spectra.photon_spectra`: photons per bin of the edges.
    response : Response
    """
    return response(spectrum(jnp.asarray(response.edges)))
