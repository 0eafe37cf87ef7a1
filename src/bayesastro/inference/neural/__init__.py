"""Neural simulation-based inference: posteriors, likelihoods and ratios learnt from simulations.

Networks are trained in unconstrained coordinates on banks of simulations; a trained posterior is itself an engine.
Needs the extra ``neural`` (torch, sbi), which nothing outside this folder loads.
"""

__all__: list[str] = []
