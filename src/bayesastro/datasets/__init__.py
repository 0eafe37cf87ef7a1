"""Published data, each with its provenance.

Small tables (a few hundred figures at most) are typed into one module each, with the
paper, the table and the licence. They need no file and no network. Of larger ones there are
readers, which take the path of the file published, and :func:`load`, which finds or downloads
that file by the name of the data set; :func:`available` lists the names. The figures themselves
belong to their authors, so cite the paper named in ``citation``.

Every table is a frozen dataclass of NumPy arrays; each call returns fresh arrays, so a
caller may change them.

Examples
--------
>>> from bayesastro.datasets import desi_dr2_bao
>>> bao = desi_dr2_bao()
>>> bao.value.shape, bao.covariance.shape
((13,), (13, 13))
>>> bao.tracer[0], bao.kind_names[bao.kind[0]], float(bao.z[0])
('BGS', 'DV_over_rd', 0.295)
"""

from bayesastro.datasets.alerts import AlertLightCurve, read_alerce
from bayesastro.datasets.confused_maps import (
    ConfusedMap,
    EmulatorWeights,
    read_emulator_weights,
    read_xidplus_tile,
)
from bayesastro.datasets.cosmic_chronometers import (
    ChronometerTable,
    chronometer_covariance,
    cosmic_chronometers,
)
from bayesastro.datasets.desi_dr2_bao import BAOTable, desi_dr2_bao
from bayesastro.datasets.euclid_lens import EuclidLens, euclid_lens
from bayesastro.datasets.loading import available, load
from bayesastro.datasets.lognormal_fields import LognormalField, read_lognormal_field
from bayesastro.datasets.payne import (
    NetworkWeights,
    PayneNetworks,
    StellarSpectra,
    read_apogee_spectrum,
    read_apogee_visits,
    read_apstar,
    read_payne,
    stellar_spectra,
)
from bayesastro.datasets.slacs import SLACSLens, slacs_lenses
from bayesastro.datasets.supernovae import (
    HubbleDiagram,
    SupernovaTable,
    read_jla,
    read_jla_binned,
    read_pantheon_binned,
    read_union3,
)
from bayesastro.datasets.transit_light_curves import (
    RadialVelocities,
    TransitLightCurve,
    read_archive_npz,
    read_light_curve_text,
    read_velocities_text,
)
from bayesastro.datasets.xray_images import CountsImage, read_counts_image, read_exposure, read_psf
from bayesastro.datasets.xray_observations import XrayObservation, read_xray_observations
from bayesastro.datasets.xray_spectra import CrossSections, XraySpectrum, read_cross_sections, read_xray_spectrum

__all__ = [
    "AlertLightCurve",
    "BAOTable",
    "ChronometerTable",
    "ConfusedMap",
    "CountsImage",
    "CrossSections",
    "EmulatorWeights",
    "EuclidLens",
    "HubbleDiagram",
    "LognormalField",
    "NetworkWeights",
    "PayneNetworks",
    "RadialVelocities",
    "SLACSLens",
    "StellarSpectra",
    "SupernovaTable",
    "TransitLightCurve",
    "XrayObservation",
    "XraySpectrum",
    "available",
    "chronometer_covariance",
    "cosmic_chronometers",
    "desi_dr2_bao",
    "euclid_lens",
    "load",
    "read_alerce",
    "read_apogee_spectrum",
    "read_apogee_visits",
    "read_apstar",
    "read_archive_npz",
    "read_counts_image",
    "read_cross_sections",
    "read_emulator_weights",
    "read_exposure",
    "read_jla",
    "read_jla_binned",
    "read_light_curve_text",
    "read_lognormal_field",
    "read_pantheon_binned",
    "read_payne",
    "read_psf",
    "read_union3",
    "read_velocities_text",
    "read_xidplus_tile",
    "read_xray_observations",
    "read_xray_spectrum",
    "slacs_lenses",
    "stellar_spectra",
]
