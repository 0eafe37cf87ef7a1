"""What a path holds in place of a result, in words, and what to give instead."""

from pathlib import Path

__all__ = ["no_result_at"]

HDF5 = b"\x89HDF\r\n\x1a\n"
"""With which netCDF files of results begin."""

OF_ZARR = ("zarr.json", ".zgroup")

KEPT = ("run.json", "checkpoint", "fits/run.json", "posterior/run.json")
"""In the folders of runs that have not ended."""

MOST_NAMED = 4


def no_result_at(path: Path) -> str:
    """Why a file or folder can be no result, and what to give; empty if it may be one, whole or damaged."""
    if not path.is_dir():
        with open(path, "rb") as file:
            is_netcdf = path.suffix == ".nc" or file.read(len(HDF5)) == HDF5
        needed = "Give the file of one, such as `result.nc` of `bayesastro fit` or `calibration.nc` of `bayesastro calibrate`."
        return "" if is_netcdf else f"`{path}` is no result: it is neither netCDF nor zarr. {needed}"
    if any((path / name).exists() for name in OF_ZARR):
        return ""
    found = sorted([*path.glob("*.nc"), *path.glob("*.zarr")])
    if found:
        named = ", ".join(f"`{file}`" for file in found[:MOST_NAMED])
        return f"`{path}` is a folder; give {'' if len(found) == 1 else 'one of the results in it: '}{named}."
    if any((path / name).exists() for name in KEPT):
        return f"`{path}` holds no result yet, but what a run keeps that has not ended: the same command or call goes on from there."
    return f"`{path}` is a folder without a result. Give the file that `bayesastro fit`, `bayesastro calibrate` or `save` wrote."
