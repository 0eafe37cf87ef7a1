"""Neural simulation-based inference: posteriors learnt from simulations.

Networks are trained in unconstrained coordinates on banks of simulations; a trained posterior is itself an engine.
Needs the extra ``neural`` (torch, zuko, safetensors), which nothing outside this folder loads.

`npe` is the door, and `amortised` the engine that comes out. `plans` says what each observed site is for, `standardise`
makes numbers of order one, `network` joins `embeddings` (their `layers`) to a density: `density` is its interface,
`densities` the list, `couplings` over `splines` and `matching` the larger ones. `training` trains; `posterior` draws and
evaluates; `familiarity` knows data unlike those trained on; `artefact` is the folder on disk.
"""

from bayesastro.extras import Extra

with Extra("neural", "Neural networks"):
    import torch as torch

__all__: list[str] = []
