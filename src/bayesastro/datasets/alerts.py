"""Light curves of transients from alerts of the Zwicky Transient Facility, as the ALeRCE broker has them.

The alerts are public, and are not part of the package: cite Bellm et al. 2019 (arXiv:1902.01932), Förster et al. 2021
(arXiv:2008.03303) and Sánchez-Sáez et al. 2021 (arXiv:2008.03311).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

__all__ = ["BANDS", "AlertLightCurve", "read_alerce"]

BANDS = ("g", "r")
"""Of the numbers 1 and 2 in the column ``fid``."""

ZERO_POINT = 23.9
"""AB magnitude of 1 µJy."""

LIMIT_SIGMA = 5.0
"""Standard deviations above which a limiting magnitude of ZTF is (Masci et al. 2019, arXiv:1902.01872, section 6.5)."""

_NEEDED = {
    "detections": ("objectId", "mjd", "fid", "magpsf", "sigmapsf", "isdiffpos", "diffmaglim"),
    "non_detections": ("objectId", "jd", "fid", "diffmaglim"),
    "labels": ("objectId", "classALeRCE"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class AlertLightCurve:
    """Fluxes of one object on difference images, in order of time.

    Parameters
    ----------
    name : str
    label : str
        Class from spectra; empty if unknown.
    time : (n,) array [day]
        Modified Julian dates.
    band : (n,) array of int
        Index into `BANDS`.
    flux, sigma : (n,) arrays [µJy]
        Zero, with a fifth of the limiting flux as its error, where nothing was detected.
    limit : (n,) array [µJy]
        Limiting flux, of five standard deviations of the background. Alerts are cut by the significance of a matched
        filter, so that detections may lie below.
    is_detection : (n,) array of bool
    """

    name: str
    label: str
    time: Float[np.ndarray, " n"]
    band: Int[np.ndarray, " n"]
    flux: Float[np.ndarray, " n"]
    sigma: Float[np.ndarray, " n"]
    limit: Float[np.ndarray, " n"]
    is_detection: Bool[np.ndarray, " n"]


def read_alerce(
    detections: str | Path, non_detections: str | Path | None = None, labels: str | Path | None = None
) -> list[AlertLightCurve]:
    """Light curves from ALeRCE's tables of alerts, by name of the object.

    Parameters
    ----------
    detections : path
        Table with the columns objectId, mjd, fid, magpsf, sigmapsf, isdiffpos, diffmaglim; other bands than g and r are
        left out, and of several alerts from one exposure in a band the first is kept.
    non_detections : path, optional
        Table with objectId, jd, fid, diffmaglim.
    labels : path, optional
        Table with objectId, classALeRCE.

    Raises
    ------
    FileNotFoundError
    ValueError
        If a column is missing, a value needed is not finite, or an error is not positive.
    """
    seen = _table("detections", detections).drop_duplicates(["objectId", "mjd", "fid"])
    flux = _flux(seen["magpsf"])
    parts = [
        pd.DataFrame(
            {
                "name": seen["objectId"],
                "time": seen["mjd"],
                "fid": seen["fid"],
                "flux": np.where(_is_positive(seen["isdiffpos"].to_numpy()), flux, -flux),
                "sigma": flux * seen["sigmapsf"] * 0.4 * np.log(10),
                "limit": _flux(seen["diffmaglim"]),
                "is_detection": True,
            }
        )
    ]
    if non_detections is not None:
        limits = _table("non_detections", non_detections)
        limit = _flux(limits["diffmaglim"])
        parts.append(
            pd.DataFrame(
                {
                    "name": limits["objectId"],
                    "time": limits["jd"] - 2400000.5,
                    "fid": limits["fid"],
                    "flux": 0.0,
                    "sigma": limit / LIMIT_SIGMA,
                    "limit": limit,
                    "is_detection": False,
                }
            )
        )
    known = {} if labels is None else dict(_table("labels", labels)[list(_NEEDED["labels"])].to_numpy())
    rows = pd.concat(parts).sort_values(["name", "time"], kind="stable").query("fid in (1, 2)")
    numbers = rows[["time", "flux", "sigma", "limit"]].to_numpy(float)
    wrong = np.flatnonzero(~np.isfinite(numbers).all(axis=1) | ~(numbers[:, 2] > 0))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} alert(s), the first of `{rows['name'].iloc[wrong[0]]}`, have no finite magnitude, limit and "
            "positive error. Remove these rows."
        )
    return [
        AlertLightCurve(
            name=str(name),
            label=str(known.get(name, "")),
            time=some["time"].to_numpy(float),
            band=some["fid"].to_numpy(int) - 1,
            flux=some["flux"].to_numpy(float),
            sigma=some["sigma"].to_numpy(float),
            limit=some["limit"].to_numpy(float),
            is_detection=some["is_detection"].to_numpy(bool),
        )
        for name, some in rows.groupby("name", sort=True)
    ]


def _table(kind: str, path: str | Path) -> pd.DataFrame:
    found = pd.read_csv(path, low_memory=False)
    if missing := [name for name in _NEEDED[kind] if name not in found.columns]:
        raise ValueError(f"`{path}` must have the columns {list(_NEEDED[kind])}, but {missing} are missing.")
    return found


def _flux(magnitude: Any) -> Any:
    return 10 ** (-0.4 * (magnitude - ZERO_POINT))


def _is_positive(column: np.ndarray) -> np.ndarray:
    """Whether the source is brighter than on the reference image; files say 1, 1.0, t or True."""
    return np.isin(np.char.lower(column.astype(str)), ["1", "1.0", "t", "true"])
