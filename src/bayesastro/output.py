"""Output folders of the command line: checked before anything runs, and files replaced in one step."""

import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

__all__ = ["prepare_folder", "save_figure"]


def prepare_folder(out: Path) -> None:
    """Make the folder and try to write into it: an unwritable one should fail now, not after the fits.

    Raises
    ------
    OSError
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OSError(
            f"The output folder `{out}` cannot be written to ({error.strerror}). Choose another with `--out`."
        ) from error


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and close it."""
    beside = path.with_name(f".{path.name}")
    figure.savefig(beside, dpi=130, bbox_inches="tight", format="png")
    plt.close(figure)
    os.replace(beside, path)
