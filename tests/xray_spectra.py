"""X-ray spectra for tests: a small detector in arrays, and the same in files of OGIP."""

import numpy as np
from astropy.io import fits
from scipy import stats

from bayesastro.datasets.xray_spectra import CrossSections, XraySpectrum
from bayesastro.models.spectra import xray
from bayesastro.problem import Problem

EDGES = np.geomspace(0.3, 10.0, 61)
EXPOSURE = 1e4
GROUPS = np.geomspace(0.5, 8.0, 16)


def cross_sections() -> CrossSections:
    energy = np.geomspace(0.1, 20.0, 400)
    return CrossSections(name="test", abundances="none", energy=energy, sigma=2.4 * energy**-2.7)


def matrix(seed: int = 0) -> np.ndarray:
    """Area of some hundred cm², resolution of some hundred eV."""
    middle = np.sqrt(EDGES[1:] * EDGES[:-1])
    area = 400.0 * np.exp(-0.5 * (np.log(middle / 1.5) / 0.8) ** 2) * (1 + 0.1 * np.random.default_rng(seed).normal())
    blur = 0.1 * np.sqrt(middle)
    return np.diff(stats.norm.cdf(GROUPS[:, None], middle, blur), axis=0) * area


def small_spectrum(seed: int = 0) -> XraySpectrum:
    """Fifteen groups, some 1,200 counts of a power law, and 480 of the background region."""
    rng, elements = np.random.default_rng(seed), matrix(seed)
    middle, width = np.sqrt(EDGES[1:] * EDGES[:-1]), np.diff(EDGES)
    source = EXPOSURE * elements @ (3e-4 * middle**-1.9 * np.exp(-0.15 * 2.4 * middle**-2.7) * width)
    background = 60.0 * np.diff(GROUPS)
    return XraySpectrum(
        name="small",
        counts=rng.poisson(source + 0.2 * background),
        background_counts=rng.poisson(background),
        background_scale=np.full(15, 0.2),
        exposure=EXPOSURE,
        e_min=GROUPS[:-1],
        e_max=GROUPS[1:],
        edges=EDGES,
        matrix=elements,
    )


def two_detectors() -> Problem:
    """Every component, and two detectors with different areas and counts."""
    spectra = {"pn": small_spectrum(), "mos": small_spectrum(1)}
    return xray.build(spectra, cross_sections(), components=("powerlaw", "cutoff", "blackbody", "line", "line"))


def write_files(folder, *, first=1, variable=True, tlmin=True, columns=None, header=None, background=None, counts=None):
    """PHA, background, ARF and RMF of eight channels and five energy bins; path of the first, and the matrix."""
    edges, elements = np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0]), np.zeros((8, 5))
    channels, groups = first + np.arange(8), [[(0, 2)], [(0, 1), (3, 2)], [(2, 4)], [(4, 3)], []]
    rng = np.random.default_rng(3)
    for e, parts in enumerate(groups):
        for start, num in parts:
            elements[start : start + num, e] = rng.uniform(0.1, 0.4, num)
    f_chan = [np.array([first + start for start, _ in parts] or [0], np.int16) for parts in groups]
    n_chan = [np.array([num for _, num in parts] or [0], np.int16) for parts in groups]
    values = [np.concatenate([elements[s : s + n, e] for s, n in parts] or [[0.0]]) for e, parts in enumerate(groups)]
    if variable:
        integers, floats = "PI()", "PD()"
        f_chan, n_chan, values = (np.array([*part, None], object)[:-1] for part in (f_chan, n_chan, values))
    else:
        integers, floats = "2I", "4D"
        f_chan, n_chan = (np.array([np.pad(p, (0, 2 - len(p))) for p in part]) for part in (f_chan, n_chan))
        values = np.array([np.pad(p, (0, 4 - len(p))) for p in values])
    low, high = fits.Column("ENERG_LO", "E", array=edges[:-1]), fits.Column("ENERG_HI", "E", array=edges[1:])
    response = fits.BinTableHDU.from_columns(
        [
            low,
            high,
            fits.Column("N_GRP", "I", array=[len(parts) for parts in groups]),
            fits.Column("F_CHAN", integers, array=f_chan),
            fits.Column("N_CHAN", integers, array=n_chan),
            fits.Column("MATRIX", floats, array=values),
        ],
        name="MATRIX",
    )
    if tlmin:
        response.header["TLMIN4"] = first
    bounds = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "I", array=channels),
            fits.Column("E_MIN", "E", array=0.5 * np.arange(8)),
            fits.Column("E_MAX", "E", array=0.5 * np.arange(1, 9)),
        ],
        name="EBOUNDS",
    )
    fits.HDUList([fits.PrimaryHDU(), response, bounds]).writeto(folder / "small.rmf")
    area = np.array([10.0, 20.0, 30.0, 40.0, 50.0])
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.BinTableHDU.from_columns([low, high, fits.Column("SPECRESP", "E", array=area)], name="SPECRESP"),
        ]
    ).writeto(folder / "small.arf")
    counts = np.array([5, 6, 7, 8, 9, 10, 11, 12]) if counts is None else counts
    names = {"RESPFILE": "small.rmf", "ANCRFILE": "small.arf", "BACKFILE": "small_bg.pi"}
    settings = {"EXPOSURE": 100.0, "BACKSCAL": 2.0, "AREASCAL": 1.0, **names, **(header or {})}
    path = spectrum(folder / "small.pi", channels, counts, settings, columns)
    back = {"EXPOSURE": 400.0, "BACKSCAL": 1.0, "AREASCAL": 1.0}
    spectrum(folder / "small_bg.pi", channels if background is None else background, None, back)
    return path, edges, elements * area


def spectrum(path, channels, counts, settings, columns=None):
    counts = np.ones(len(channels), int) if counts is None else np.asarray(counts)
    parts = [
        fits.Column("CHANNEL", "J", array=channels),
        fits.Column("COUNTS", "J" if counts.dtype.kind == "i" else "D", array=counts),
    ]
    parts += [fits.Column(name, "D", array=np.asarray(values, float)) for name, values in (columns or {}).items()]
    table = fits.BinTableHDU.from_columns(parts, name="SPECTRUM")
    for name, value in settings.items():
        table.header[name] = value
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    return path
