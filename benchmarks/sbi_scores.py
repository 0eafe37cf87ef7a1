"""Four tasks of Lueckmann et al. 2021 (arXiv:2101.04653) at 10,000 simulations: NPE, NLE and NRE beside published scores, and sbi.

Classifier two-sample tests against exact draws: 0.5 where they cannot be told apart, 1 where they always are. Ours are means
over 3 data sets from the prior predictive with 2,000 draws each; those published, over 10 with 10,000 each. Settings are the
same for all tasks: NPE an ensemble of five spline flows, NLE one of three, NRE one network of ten contrasts, both drawn
from by SMC; all draws are made in single precision. sbi's NPE with a neural spline flow and its default settings learns from the
same simulations. A ratio is of what the scores have above 0.5. Seconds are of training, and of fitting one data set,
compiling included.
"""

import time

import numpy as np

from benchmarks import sbibm
from benchmarks.peers import Failure, Peer
from benchmarks.report import Ratio, Report

__all__ = ["run"]


def run() -> Report:
    """The table, and ratios to what is published and to sbi."""
    lines = ["| task | method | C2ST | published | sbi | training [s] | fit [s] |", "| --- " * 7 + "|"]
    ratios = []
    for name, make in sbibm.TASKS.items():
        task = make()
        sbi = Peer("sbi").measured(lambda task=task: float(np.mean(sbibm.sbis(task))))
        for method, published in task.published.items():
            began = time.perf_counter()
            engine = sbibm.trained(task, method)
            trained = time.perf_counter()
            score = float(np.mean(sbibm.scores(task, engine)))
            fitted = (time.perf_counter() - trained) / sbibm.NUM_SETS
            peers = {f"sbibm, published {method}": published} | (
                {f"{Peer('sbi')}, NPE": sbi} if method == "NPE" else {}
            )
            ratios += [
                Ratio(
                    quantity=f"{method}, {name}: C2ST above 0.5",
                    ours=score - 0.5,
                    peer=peer,
                    theirs=theirs if isinstance(theirs, Failure) else theirs - 0.5,
                    less_is_better=True,
                )
                for peer, theirs in peers.items()
            ]
            beside = f"{sbi:.3f}" if method == "NPE" else ""
            lines.append(
                f"| {name} | {method} | {score:.3f} | {published:.3f} | {beside} | {trained - began:.0f} | {fitted:.0f} |"
            )
            print(lines[-1], flush=True)
    return Report("\n".join(lines), tuple(ratios))
