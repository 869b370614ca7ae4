"""How many threads PyTorch takes: chosen here, by the size of what is computed, and nowhere else."""

import torch

__all__ = ["choose_threads"]

#: What the machine and the user (OMP_NUM_THREADS) give.
GIVEN = torch.get_num_threads()
#: Samples computed at once from which on more than one thread pays. In training there are few, and threads that spin
#: between tiny steps cost more than they bring: on a busy machine with two cores, one thread took 0.4 CPU seconds for
#: 100 training samples of `digits`, two took 9.3; for 10 of `lenet1` 0.2 and 11.8; for one of `alexnet` 1.2 and 11.2.
MANY = 256


def choose_threads(samples):
    """Set the threads for so many samples at once; no bit depends on them."""
    wanted = GIVEN if samples >= MANY else 1
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)
