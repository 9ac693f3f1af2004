"""One rank of two: its half of the rows, then the sum; run by test_distributed.py."""

import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from counterpoint.curvature import all_reduce, fisher
from counterpoint.goals import Categorical


def main(rank: int, store: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, 3, generator=generator, dtype=torch.float64)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double().eval()
    wrapped = DistributedDataParallel(model)
    mine = x[:4] if rank == 0 else x[4:]
    worst = 0.0
    for structure in ("diagonal", "kronecker", "block", "dense"):
        summed = all_reduce(fisher(wrapped, Categorical(), [(mine,)], structure=structure))
        alone = fisher(model, Categorical(), [(x,)], structure=structure)
        if list(summed.shapes) != list(alone.shapes):
            raise SystemExit("other names under DistributedDataParallel")
        difference = (summed.dense() - alone.dense()).abs().max() / alone.dense().abs().max()
        worst = max(worst, float(difference))
    print(f"rank {rank}: {worst:.1e}")
    dist.destroy_process_group()
    raise SystemExit(worst > 1e-12)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
