"""Models: NumPyro programs with their priors, one a file, and a `build(...)` that returns a :class:`~bayesastro.Problem`.

A program has every prior, unit and plate in sight and generates its data: it takes no observations. `build` attaches
the data. Neither holds sampler settings or plots.

>>> from bayesastro.models.cosmology import bao
>>> bao.build().observed["bao"].shape
(13,)
"""

__all__: list[str] = []
