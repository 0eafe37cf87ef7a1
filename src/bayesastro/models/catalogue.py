"""All programs of the package: what data they want, an example of each, and which engines suit them."""

import importlib
from typing import Any, NamedTuple

from bayesastro.datasets.registry import dataset_named
from bayesastro.problem import Problem

__all__ = ["CATALOGUE", "Entry"]


class Entry(NamedTuple):
    """A program, below ``bayesastro.models``."""

    name: str
    data: str
    """Real ones that it has been fitted to; "built in" where `build` needs none."""
    engines: tuple[str, ...]
    """Those to try, the first choice first."""
    example: str = ""
    """A function in ``examples`` beside the program, without arguments; none where `build` needs none."""
    datasets: tuple[str, ...] = ()
    """Those that the example loads; none if it simulates."""

    def problem(self) -> Problem:
        """The program with the data of its example.

        Raises
        ------
        OSError, ValueError
            If data are missing, or not those published; see :func:`bayesastro.datasets.load`.
        """
        if self.example:
            return getattr(self._examples(), self.example)()
        return importlib.import_module(f"bayesastro.models.{self.name}").build()

    def told(self) -> str:
        """The data of its example in a line, with whom to cite."""
        if not self.datasets:
            return f"simulated by the program itself with seed {self._examples().SEED}."
        entries = [dataset_named(name) for name in self.datasets]
        cited = "; ".join(dict.fromkeys(paper for entry in entries for paper in entry.citation.split("; ")))
        return f"{'; '.join(f'{entry.name}, {entry.what}' for entry in entries)}. Cite {cited}."

    def _examples(self) -> Any:
        return importlib.import_module(f"bayesastro.models.{self.name.partition('.')[0]}.examples")


CATALOGUE = (
    Entry("cosmology.bao", "DESI DR2 (built in)", ("NUTS", "NestedSampler", "Ensemble"), datasets=("desi_dr2_bao",)),
    Entry(
        "cosmology.expansion",
        "DESI DR2, cosmic chronometers (built in)",
        ("NUTS", "NestedSampler"),
        datasets=("desi_dr2_bao", "cosmic_chronometers"),
    ),
    Entry(
        "cosmology.hubble_diagram",
        "Pantheon, Union3, binned JLA",
        ("NUTS", "NestedSampler"),
        "pantheon",
        ("pantheon_binned",),
    ),
    Entry("cosmology.tripp", "JLA", ("NUTS", "NestedSampler", "MCLMC"), "jla", ("jla",)),
    Entry("cosmology.supernova_survey", "simulated", ("TMNRE", "NPE"), "simulated_survey"),
    Entry("cosmology.supernova_summaries", "simulated", ("TMNRE", "NPE"), "simulated_summaries"),
    Entry("lightcurves.transit", "Kepler, TESS, K2", ("NUTS", "NestedSampler"), "hat_p_7", ("hat_p_7",)),
    Entry(
        "lightcurves.transit_rv",
        "K2, radial velocities",
        ("NUTS", "NestedSampler"),
        "k2_140",
        ("k2_140", "k2_140_velocities"),
    ),
    Entry(
        "lightcurves.radial_velocities",
        "CORALIE, HARPS, FIES",
        ("NUTS", "NestedSampler"),
        "k2_140_velocities",
        ("k2_140_velocities",),
    ),
    Entry("lightcurves.transient", "ZTF alerts", ("SMC", "NPE", "NUTS"), "ztf_supernova", ("ztf_supernovae",)),
    Entry("lightcurves.transient_population", "ZTF alerts", ("NUTS",), "ztf_type_ia", ("ztf_supernovae",)),
    Entry(
        "fields.lognormal",
        "simulated (Leclercq & Heavens)",
        ("NUTS", "MCLMC", "GeoVI"),
        "lognormal_field",
        ("lognormal_field",),
    ),
    Entry(
        "fields.lognormal_two_point",
        "simulated (Leclercq & Heavens)",
        ("NPE", "NLE", "NUTS"),
        "lognormal_correlations",
        ("lognormal_field",),
    ),
    Entry("fields.initial_conditions", "simulated (Simon-Onfroy et al.)", ("MCLMC", "NUTS"), "simulated_galaxies"),
    Entry("fields.xray_image", "Chandra, XMM-Newton", ("GeoVI",), "abell_1835", ("abell_1835",)),
    Entry(
        "fields.xray_source", "Chandra Source Catalog", ("NUTS", "NestedSampler"), "chandra_source", ("chandra_source",)
    ),
    Entry(
        "spectra.xray",
        "Chandra, XMM-Newton (OGIP)",
        ("NUTS", "NestedSampler"),
        "ngc_7793_ulx_4",
        ("ngc_7793_ulx_4", "tbabs_wilm"),
    ),
    Entry(
        "spectra.deconvolution",
        "Chandra, XMM-Newton (OGIP)",
        ("GeoVI", "NUTS"),
        "ngc_7793_ulx_4_unfolded",
        ("ngc_7793_ulx_4",),
    ),
    Entry("spectra.star", "APOGEE", ("NUTS", "Pathfinder"), "apogee_star", ("apogee_2m1948", "payne_networks")),
    Entry(
        "spectra.binary_star", "APOGEE", ("NUTS", "NestedSampler"), "apogee_pair", ("apogee_2m1301", "payne_networks")
    ),
    Entry(
        "spectra.young_star",
        "APOGEE (simulated resolution)",
        ("NPE", "NUTS"),
        "young_apogee_star",
        ("apogee_2m1948", "payne_networks"),
    ),
    Entry("spectra.deblending", "Herschel/SPIRE, simulated (XID+)", ("NUTS",), "xid_plus_fluxes", ("xid_plus_tile",)),
    Entry(
        "spectra.deblending_sed",
        "Herschel/SPIRE, simulated (XID+)",
        ("NUTS",),
        "xid_plus_galaxies",
        ("xid_plus_tile", "xid_plus_emulator"),
    ),
    Entry("lensing.parametric", "SLACS", ("Pathfinder", "NUTS"), "j1627", ("slacs_lenses",)),
    Entry("lensing.euclid", "Euclid Q1", ("NPE", "Corrected", "NUTS"), "euclid_lens", ("euclid_lens",)),
)
