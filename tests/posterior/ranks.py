"""One rank of two: a posterior from its half of the rows; run by test_distributed.py."""

import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from counterpoint.continual import EWC
from counterpoint.goals import Categorical, Normal
from counterpoint.posterior import laplace


def main(rank: int, store: str) -> None:
    """Compare what two ranks made together with what one process makes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, 3, generator=generator, dtype=torch.float64)
    targets = {Categorical: torch.arange(9) % 3, Normal: x.roll(1, 0)}
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double().eval()
    cases = [(k, s) for k in targets for s in ("diagonal", "kronecker", "dense")]

    def made(model, rows):
        return [
            laplace(model, kind(), [(x[rows], targets[kind][rows])], structure=structure)
            for kind, structure in cases
        ]

    alone = made(model, slice(None))
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    mine = slice(0, 4) if rank == 0 else slice(4, 9)
    together = made(DistributedDataParallel(model), mine)
    worst = 0.0
    for one, two in zip(alone, together, strict=True):
        pairs = [
            (one.predict(x).knowledge, two.predict(x).knowledge),
            (one.log_evidence(), two.log_evidence()),
            (torch.tensor(one.gaussian.counts), torch.tensor(two.gaussian.counts)),
            (torch.tensor(one.noise_scale), torch.tensor(two.noise_scale)),
        ]
        gaps = [float((b - a).abs().max() / a.abs().max()) for a, b in pairs]
        worst = max(worst, *gaps)
    memory = EWC()  # what the other door to the same curvature does
    memory.consolidate(model, Categorical(), [(x[mine], targets[Categorical][mine])])
    counts = (memory.gaussian.counts, together[0].gaussian.counts)
    print(f"rank {rank}: {worst:.1e} {counts}")
    dist.destroy_process_group()
    raise SystemExit(worst > 1e-6 or counts != (9.0, 9.0))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
