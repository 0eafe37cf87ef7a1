"""All programs of the package: what data they want, and which engines suit them."""

from typing import NamedTuple

__all__ = ["CATALOGUE", "Entry"]


class Entry(NamedTuple):
    """A program, below ``bayesastro.models``."""

    name: str
    data: str
    """Real ones that it has been fitted to; "built in" where `build` needs none."""
    engines: tuple[str, ...]
    """Those to try, the first choice first."""


CATALOGUE = (
    Entry("cosmology.bao", "DESI DR2 (built in)", ("NUTS", "NestedSampler", "Ensemble")),
    Entry("cosmology.expansion", "DESI DR2, cosmic chronometers (built in)", ("NUTS", "NestedSampler")),
    Entry("cosmology.hubble_diagram", "Pantheon, Union3, binned JLA", ("NUTS", "NestedSampler")),
    Entry("cosmology.tripp", "JLA", ("NUTS", "NestedSampler", "MCLMC")),
    Entry("cosmology.supernova_survey", "simulated", ("TMNRE", "NPE")),
    Entry("cosmology.supernova_summaries", "simulated", ("TMNRE", "NPE")),
    Entry("lightcurves.transit", "Kepler, TESS, K2", ("NUTS", "NestedSampler")),
    Entry("lightcurves.transit_rv", "K2, radial velocities", ("NUTS", "NestedSampler")),
    Entry("lightcurves.transient", "ZTF alerts", ("SMC", "NPE", "NUTS")),
    Entry("lightcurves.transient_population", "ZTF alerts", ("NUTS",)),
    Entry("fields.lognormal", "simulated (Leclercq & Heavens)", ("NUTS", "MCLMC", "GeoVI")),
    Entry("fields.lognormal_two_point", "simulated (Leclercq & Heavens)", ("NPE", "NLE", "NUTS")),
    Entry("fields.initial_conditions", "simulated (Simon-Onfroy et al.)", ("MCLMC", "NUTS")),
    Entry("fields.xray_image", "Chandra, XMM-Newton", ("GeoVI",)),
    Entry("fields.xray_source", "Chandra Source Catalog", ("NUTS", "NestedSampler")),
    Entry("spectra.xray", "Chandra, XMM-Newton (OGIP)", ("NUTS", "NestedSampler")),
    Entry("spectra.deconvolution", "Chandra, XMM-Newton (OGIP)", ("GeoVI", "NUTS")),
    Entry("spectra.star", "APOGEE", ("NUTS", "Pathfinder")),
    Entry("spectra.binary_star", "APOGEE", ("NUTS", "NestedSampler")),
    Entry("spectra.young_star", "APOGEE (simulated resolution)", ("NPE", "NUTS")),
    Entry("spectra.deblending", "Herschel/SPIRE, simulated (XID+)", ("NUTS",)),
    Entry("spectra.deblending_sed", "Herschel/SPIRE, simulated (XID+)", ("NUTS",)),
    Entry("lensing.parametric", "SLACS", ("Pathfinder", "NUTS")),
    Entry("lensing.euclid", "Euclid Q1", ("NPE", "Corrected", "NUTS")),
)
