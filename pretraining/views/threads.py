"""Work on a CPU by threads that each compute alone.

Views are many small operations. Split among the threads of each operation, every one of them pays a barrier and, beside
other work, waits for the slowest; split by samples, the threads meet once a batch. Torch's operations let other Python
threads run meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier, Lock
from typing import Any

import torch

_starting = Lock()


def run_all(tasks: Sequence[Callable[[], Any]]) -> None:
    """Run every task once, on as many threads as `torch.get_num_threads` says; raises what a task raises.

    Fewer tasks than threads run one after the other, each operation on all threads.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(tasks) < threads:
        for task in tasks:
            task()
        return
    with _starting:
        pool = _pool(os.getpid(), threads)
    modes = (torch.is_inference_mode_enabled(), torch.is_grad_enabled())
    for done in [pool.submit(_in_modes, task, *modes) for task in tasks]:
        done.result()


def _in_modes(task: Callable[[], Any], inference: bool, gradients: bool) -> None:
    """Run a task in the modes of the thread that gave it: torch keeps them for each thread."""
    with torch.inference_mode(inference), torch.set_grad_enabled(gradients and not inference):
        task()


@lru_cache(maxsize=2)
def _pool(_process: int, threads: int) -> ThreadPoolExecutor:
    """Threads whose operations do not split any further; another pool for a forked process, which inherits none.

    `torch.set_num_threads` rules its own thread and those that first compute later, so each thread sets 1 for itself
    and the calling one puts the number back when all have begun.
    """
    pool = ThreadPoolExecutor(threads, "views", initializer=_alone)
    begun = Barrier(threads)
    for waiting in [pool.submit(begun.wait) for _ in range(threads)]:
        waiting.result()
    torch.set_num_threads(threads)
    return pool


def _alone() -> None:
    torch.get_num_threads()  # the first call in a thread takes over the process' number; what is set later stays
    torch.set_num_threads(1)
