"""Embeddings: networks that summarise an observed site in a vector, and the settings that describe them.

=============== ========================== =========================================================================
settings        for a site of shape        what it is
=============== ========================== =========================================================================
`Dense`         any                        layers over all values; the default
`Regression`    any                        the same beside linear regressions of the parameters: precise data
`CNN1D`         (n,) or (n, channels)      convolutions along an ordered axis: spectra, even light curves
`ResNet`        (n, m) or (n, m, channels) a residual network over pixels; the default for square images
`PolarResNet`   (n, m)                     the same over rings about an object, its smooth light apart: lenses, galaxies
`SetNetwork`    (n,) or (n, channels)      the same for every order of the entries: catalogues, light curves
`Transformer`   (n,) or (n, channels)      attention among the entries, in any order; likewise
=============== ========================== =========================================================================

Entries of sets may have further *features* (times, bands, errors) and a *mask*, each an array argument of the program
or another observed site, whose leading axis is that of the entries. Entries that the mask, or NumPyro's mask of the
site, leaves out have no influence, so that sets of unlike lengths are padded.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
from torch import nn

from bayesastro.hints import told
from bayesastro.inference.neural import layers, regression
from bayesastro.inference.neural.polar import PolarNetwork
from bayesastro.inference.neural.residual import ResidualNetwork

__all__ = [
    "CNN1D",
    "Dense",
    "Embedding",
    "PolarResNet",
    "Regression",
    "ResNet",
    "SetEmbedding",
    "SetNetwork",
    "Transformer",
    "default_for",
    "embedding_of",
]


@dataclass(frozen=True, kw_only=True)
class Embedding(ABC):
    """Settings of an embedding; abstract.

    Class attributes
    ----------------
    ndims : tuple of int
        Numbers of axes that its site may have.
    shared : tuple of int
        Axes over which the entries are standardised by one mean and sd; the rest are channels.
    least : mapping of str to int
        The least values of whole numbers for which it is not 1.
    """

    ndims: ClassVar[tuple[int, ...]]
    shared: ClassVar[tuple[int, ...]] = (0,)
    least: ClassVar[Mapping[str, int]] = {}

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = self.least.get(field.name, 1)
            if field.type in (int, "int") and (not isinstance(value, int | np.integer) or value < least):
                raise ValueError(
                    f"`{type(self).__name__}` needs `{field.name}` to be a whole number of at least {least}, but {told(value)} "
                    "came."
                )

    @property
    def companions(self) -> tuple[str, ...]:
        """Arguments and observed sites that accompany the site's entries."""
        return ()

    def described(self) -> dict[str, Any]:
        """The settings as JSON has them, with the name of their kind."""
        return {"kind": type(self).__name__, **asdict(self)}

    def check(self, name: str, shape: Sequence[int]) -> None:
        """Raise unless a site of this shape can be embedded.

        Raises
        ------
        ValueError
        """
        if len(shape) not in self.ndims:
            axes = " or ".join(map(str, self.ndims))
            raise ValueError(
                f"`{type(self).__name__}` is for sites of {axes} axes, but `{name}` has shape {tuple(shape)}. Choose "
                "another embedding."
            )

    @abstractmethod
    def network(self, kept: np.ndarray, num_companions: int, num_features: int, dropout: float) -> nn.Module:
        """The network: from values of shape (row, …) to (row, num_features).

        Parameters
        ----------
        kept : array of bool
            Of the site's shape, False at entries that are masked or the same in all rows; these are given as 0.
        num_companions : int
            Further features of each entry; for sets.
        """


@dataclass(frozen=True, kw_only=True)
class Dense(Embedding):
    """Fully connected layers over all values of a site, beside one linear map.

    Parameters
    ----------
    width, depth : int
        Units of a layer, and the number of hidden layers.
    """

    ndims: ClassVar[tuple[int, ...]] = tuple(range(8))
    shared: ClassVar[tuple[int, ...]] = ()
    width: int = 128
    depth: int = 2

    def network(self, kept: np.ndarray, num_companions: int, num_features: int, dropout: float) -> nn.Module:
        return layers.DenseNetwork(kept, self.width, self.depth, num_features, dropout)


@dataclass(frozen=True, kw_only=True)
class Regression(Dense):
    """`Dense` beside linear regressions of the parameters on the values, which are found in one pass before training.

    Where data are far more precise than the prior, as after rounds of truncation, the best combination of many values must be
    known to many digits; regression gives it, where descent is slow to find it.

    Parameters
    ----------
    width, depth : int
        As for `Dense`.
    """

    def network(self, kept: np.ndarray, num_companions: int, num_features: int, dropout: float) -> nn.Module:
        return regression.RegressionNetwork(kept, self.width, self.depth, num_features, dropout)


@dataclass(frozen=True, kw_only=True)
class CNN1D(Embedding):
    """Convolutions along one axis, each halving its length, and a linear layer over what is left.

    Parameters
    ----------
    width, depth, kernel : int
        Channels, number of convolutions, and their length.
    """

    ndims: ClassVar[tuple[int, ...]] = (1, 2)
    width: int = 32
    depth: int = 4
    kernel: int = 5

    def network(self, kept: np.ndarray, num_companions: int, num_features: int, dropout: float) -> nn.Module:
        return layers.ConvolutionalNetwork(kept.shape, self.width, self.depth, self.kernel, num_features, dropout)


@dataclass(frozen=True, kw_only=True)
class ResNet(Embedding):
    """A residual network over pixels (He et al. 2016, arXiv:1512.03385), with group normalisation.

    Parameters
    ----------
    width, depth : int
        Channels of the first stage, and the number of stages; each halves the image and doubles the channels.
    stride : int
        Of the first convolution, which sees all pixels: 4 for images of 100 pixels and more costs a seventh of 2.
    """

    ndims: ClassVar[tuple[int, ...]] = (2, 3)
    shared: ClassVar[tuple[int, ...]] = (0, 1)
    width: int = 16
    depth: int = 3
    stride: int = 2

    def network(self, kept: np.ndarray, num_companions: int, num_features: int, dropout: float) -> nn.Module:
        return ResidualNetwork(kept.shape, self.width, self.depth, self.stride, num_features, dropout)


@dataclass(frozen=True, kw_only=True)
class PolarResNet(Embedding):
    """A residual network over rings about an object near the middle of an image, its smooth light apart.

    For what surrounds a bright galaxy and is much fainter: arcs of a lens, shells, tails. Rings are about the centroid.
    The image is best transformed to even noise before: by "sqrt" if that is of photons and sky, by "none" if of sky.

    Parameters
    ----------
    width, depth : int
        Channels of the first stage, and the number of stages; each halves radii and angles and doubles the channels.
    num_radii : int
        Rings, each a pixel wide; those beyond the image are empty.
    num_angles : int
        Places on a ring; of four, one is left by the first convolution.
    centring : int [pixel]
        Standard deviation of the weight by which the centroid is found: about the size of the point-spread function.
    """

    ndims: ClassVar[tuple[int, ...]] = (2,)
    shared: ClassVar[tuple[int, ...]] = (0, 1)
    least: ClassVar[Mapping[str, int]] = {"num_angles": 8}
    width: int = 32
    depth: int = 2
    num_radii: int = 40
    num_angles: int = 128
    centring: int = 2

    def network(self, kept: np.ndarray, num_companions: int, num_features: int, dropout: float) -> nn.Module:
        sizes = {name: getattr(self, name) for name in ("width", "depth", "num_radii", "num_angles", "centring")}
        return PolarNetwork(kept, **sizes, num_features=num_features, dropout=dropout)


@dataclass(frozen=True, kw_only=True)
class SetEmbedding(Embedding, ABC):
    """Settings of an embedding of sets, whose entries may have companions; abstract.

    Parameters
    ----------
    features : tuple of str
        Arguments or observed sites with further features of each entry.
    mask : str, optional
        Argument or observed site that is true, or 1, at entries that count.
    """

    ndims: ClassVar[tuple[int, ...]] = (1, 2)
    features: tuple[str, ...] = ()
    mask: str | None = None

    @property
    def companions(self) -> tuple[str, ...]:
        return (*self.features, *([self.mask] if self.mask else []))


@dataclass(frozen=True, kw_only=True)
class SetNetwork(SetEmbedding):
    """Means and maxima, over the entries, of a network's features of each (Zaheer et al. 2017, arXiv:1703.06114).

    Parameters
    ----------
    features : tuple of str
        Arguments or observed sites with further features of each entry.
    mask : str, optional
        Argument or observed site that is true, or 1, at entries that count.
    width, depth : int
    num_factors : int
        Features of each entry of which means of products, two by two, are taken too: covariances of what an entry has, and
        slopes, need few simulations so. 0 for none.
    """

    least: ClassVar[Mapping[str, int]] = {"num_factors": 0}

    width: int = 64
    depth: int = 2
    num_factors: int = 0

    def network(self, kept: np.ndarray, num_companions: int, num_features: int, dropout: float) -> nn.Module:
        channels = 1 if kept.ndim == 1 else kept.shape[1]
        return layers.DeepSet(
            channels + num_companions, self.width, self.depth, self.num_factors, num_features, dropout
        )


@dataclass(frozen=True, kw_only=True)
class Transformer(SetEmbedding):
    """Attention among the entries of a set (Vaswani et al. 2017, arXiv:1706.03762), features also by their waves.

    Parameters
    ----------
    features : tuple of str
        As for `SetNetwork`; of times the network sees sines and cosines, too.
    mask : str, optional
        As for `SetNetwork`.
    width, depth, num_heads : int
    """

    width: int = 64
    depth: int = 2
    num_heads: int = 4

    def network(self, kept: np.ndarray, num_companions: int, num_features: int, dropout: float) -> nn.Module:
        channels = 1 if kept.ndim == 1 else kept.shape[1]
        return layers.AttentionNetwork(
            channels, num_companions, self.width, self.depth, self.num_heads, num_features, dropout
        )


_KINDS: dict[str, type[Embedding]] = {
    kind.__name__: kind for kind in (Dense, Regression, CNN1D, ResNet, PolarResNet, SetNetwork, Transformer)
}


def embedding_of(described: dict[str, Any]) -> Embedding:
    """The settings that :meth:`Embedding.described` told of."""
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in described.items() if name != "kind"}
    return _KINDS[described["kind"]](**values)


def default_for(shape: Sequence[int]) -> Embedding:
    """`ResNet` for square images of at least 8 × 8 pixels, else `Dense`."""
    is_image = len(shape) == 2 and shape[0] == shape[1] >= 8
    return ResNet() if is_image else Dense()
