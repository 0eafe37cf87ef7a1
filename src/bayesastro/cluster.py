"""Spreading work over the workers of a Dask cluster."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["num_threads", "spread"]

POLL_SECONDS = 0.02
"""Between looks at the work that is under way."""

AHEAD = 3
"""Jobs handed out for each thread of the workers, so that none waits for the next and results do not pile up."""


def num_threads(client: Any) -> int:
    """Threads of all workers together, at least 1."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return max(1, sum(worker["nthreads"] for worker in workers))


def spread(
    client: Any,
    work: Callable[..., Any],
    shared: Any,
    jobs: Sequence[tuple[Any, ...]],
    *,
    is_over: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Run ``work(shared, *job)`` for every job, and give the jobs as they end.

    Parameters
    ----------
    client : dask.distributed.Client
    work : callable
    shared : object
        Sent to every worker once.
    jobs : sequence of tuples
    is_over : callable
        Whether to stop; what is under way is then given up.

    Yields
    ------
    (job, distributed.Future)
        The future is done; its ``result()`` raises what the work did, and ``distributed.KilledWorker`` where workers
        died of it one after the other. A job whose worker dies is done again by another.
    """
    everywhere = client.submit(_itself, shared, pure=False)  # a task, for scattered data die with their worker
    left = list(reversed(jobs))
    under_way: list[tuple[tuple[Any, ...], Any]] = []
    most = AHEAD * num_threads(client)
    try:
        while (left or under_way) and not is_over():
            while left and len(under_way) < most:
                job = left.pop()
                under_way.append((job, client.submit(work, everywhere, *job, pure=False)))
            done = [pair for pair in under_way if pair[1].done()]
            under_way = [pair for pair in under_way if not any(pair is other for other in done)]
            yield from done
            if done:
                most = AHEAD * num_threads(client)  # workers come and go
            else:
                time.sleep(POLL_SECONDS)
    finally:
        client.cancel([future for _, future in under_way])


def _itself(shared: Any) -> Any:
    return shared
