"""How several processes that train together part."""

import time

import torch.distributed

REST_S = 0.5


def leave() -> None:
    """Leave the group of processes, and give its threads the time to let go of what they exchanged last.

    DistributedDataParallel keeps Gloo's group, and with it Gloo's threads, alive until the interpreter has ended. A
    thread that lets go of a tensor only then, because a busy machine did not let it run before, asks for a lock that is
    no more and brings the process down after all is done ("terminate called without an active exception"; pytorch's
    pull request 179291 tells of it).

    Raises:
        ValueError: There is no group.
    """
    torch.distributed.destroy_process_group()
    time.sleep(REST_S)
