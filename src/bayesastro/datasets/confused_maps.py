"""Maps in the far infrared, confused by more sources than they resolve, with a catalogue of where the sources are.

The published tile of XID+ is simulated: a light-cone of GALFORM (Lacey et al. 2016, MNRAS 462, 3854) seen by Herschel/SPIRE at
250, 350 and 500 μm with the depth of COSMOS. Files are public, and are not part of the package.

References
----------
Hurley et al. (2017), MNRAS 464, 885 (XID+).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np
from jaxtyping import Float, Int

__all__ = ["ConfusedMap", "EmulatorWeights", "read_emulator_weights", "read_xidplus_tile"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ConfusedMap:
    """Pixels of one band, and what each source of the catalogue adds to them.

    Parameters
    ----------
    brightness, noise : (p,) arrays [mJy/beam]
        The map and the standard deviation of the instrument's noise.
    x, y : (p,) arrays of int [pixel]
    beam : (k,) array
        Share of the flux of source `source` that pixel `pixel` shows: 1 at the peak of the beam.
    pixel, source : (k,) arrays of int
    source_x, source_y : (s,) arrays [pixel]
    flux_lower, flux_upper : (s,) arrays [mJy]
        Bounds of the sources' fluxes.
    background : (float, float) [mJy/beam]
        Mean and standard deviation of the prior of the level that all pixels share.
    """

    brightness: Float[np.ndarray, " p"]
    noise: Float[np.ndarray, " p"]
    x: Int[np.ndarray, " p"]
    y: Int[np.ndarray, " p"]
    beam: Float[np.ndarray, " k"]
    pixel: Int[np.ndarray, " k"]
    source: Int[np.ndarray, " k"]
    source_x: Float[np.ndarray, " s"]
    source_y: Float[np.ndarray, " s"]
    flux_lower: Float[np.ndarray, " s"]
    flux_upper: Float[np.ndarray, " s"]
    background: tuple[float, float]

    def image(self, values: Float[np.ndarray, " p"]) -> Float[np.ndarray, "ny nx"]:
        """Values of the pixels on their grid, rows along y; NaN where there is no pixel."""
        grid = np.full((np.ptp(self.y) + 1, np.ptp(self.x) + 1), np.nan)
        grid[self.y - self.y.min(), self.x - self.x.min()] = values
        return grid


@dataclass(frozen=True, kw_only=True, eq=False)
class EmulatorWeights:
    """Layers of a network of leaky rectifiers.

    Parameters
    ----------
    weights : tuple of (n_in, n_out) arrays
    biases : tuple of (n_out,) arrays
    """

    weights: tuple[Float[np.ndarray, "_ _"], ...]
    biases: tuple[Float[np.ndarray, " _"], ...]


def read_xidplus_tile(
    path: str | PathLike[str], bands: Sequence[str] = ("psw250", "pmw350", "plw500")
) -> dict[str, ConfusedMap]:
    """The maps of a tile of XID+, converted to arrays, by band.

    Parameters
    ----------
    path : path
        NPZ file with arrays ``{band}_sim``, ``{band}_amat_data`` and so on: the attributes of XID+'s `prior`.
    bands : sequence of str

    Raises
    ------
    FileNotFoundError
    ValueError
        If an array is missing.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return {band: _map(arrays, band, path) for band in bands}


def _map(arrays: dict[str, np.ndarray], band: str, path: str | PathLike[str]) -> ConfusedMap:
    names = ("sim", "snim", "sx_pix", "sy_pix", "amat_data", "amat_row", "amat_col", "sx", "sy", "bkg")
    needed = [f"{band}_{name}" for name in (*names, "prior_flux_lower", "prior_flux_upper")]
    if missing := [name for name in needed if name not in arrays]:
        raise ValueError(f"`{path}` needs the arrays {missing} for the band {band}, but has {sorted(arrays)[:5]}….")
    image, noise, x, y, beam, pixel, source, source_x, source_y, background, lower, upper = (
        arrays[name] for name in needed
    )
    return ConfusedMap(
        brightness=np.asarray(image, float),
        noise=np.asarray(noise, float),
        x=np.asarray(x, int),
        y=np.asarray(y, int),
        beam=np.asarray(beam, float),
        pixel=np.asarray(pixel, int),
        source=np.asarray(source, int),
        source_x=np.asarray(source_x, float),
        source_y=np.asarray(source_y, float),
        flux_lower=np.asarray(lower, float),
        flux_upper=np.asarray(upper, float),
        background=(float(background[0]), float(background[1])),
    )


def read_emulator_weights(path: str | PathLike[str]) -> EmulatorWeights:
    """The weights of XID+'s emulator of CIGALE, converted to arrays.

    Parameters
    ----------
    path : path
        NPZ file with arrays ``arr_0__{layer}__0`` (weights) and ``arr_0__{layer}__1`` (biases), rectifiers between.

    Raises
    ------
    FileNotFoundError
    ValueError
        If there is no layer, or the sizes of layers do not fit.
    """
    with np.load(path, allow_pickle=False) as file:
        layers = sorted({int(name.split("__")[1]) for name in file.files if name.startswith("arr_0__")})
        try:
            weights = tuple(np.asarray(file[f"arr_0__{layer}__0"], float) for layer in layers)
            biases = tuple(np.asarray(file[f"arr_0__{layer}__1"], float) for layer in layers)
        except KeyError as error:
            raise ValueError(f"Each layer of `{path}` needs weights and biases: {error.args[0]}") from error
    shapes = [w.shape for w in weights]
    fits = all(a[1] == b[0] for a, b in itertools.pairwise(shapes))
    if not shapes or not fits or any(b.shape != (s[1],) for s, b in zip(shapes, biases, strict=True)):
        raise ValueError(
            f"`{path}` must hold layers whose sizes fit, `arr_0__0__0` first, but has weights of shapes {shapes}."
        )
    return EmulatorWeights(weights=weights, biases=biases)
