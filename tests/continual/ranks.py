"""One rank of two: tasks consolidated from half of their rows; run by test_distributed.py."""

import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from counterpoint.continual import EWC, MAS, SI, OnlineEWC, Replay
from counterpoint.goals import Categorical

MEMORIES = {
    "diagonal": EWC,
    "kronecker": lambda: OnlineEWC(structure="kronecker-merged", keep=0.5),
    "dense": lambda: EWC(structure="dense"),
    "mas": MAS,
    "si": SI,
    "replay": lambda: Replay(capacity=99, batch=99),
}


def penalty(make, model, tasks, share):
    """The penalty after all tasks, each from a share of its rows."""
    memory = make()
    memory.begin(model)
    for x, y in tasks:
        rows = slice(None) if share is None else slice(share, None, 2)
        memory.consolidate(model, Categorical(), [(x[rows], y[rows])])
        with torch.no_grad():
            for weight in model.parameters():
                weight += 0.1
        for weight in model.parameters():
            weight.grad = -torch.ones_like(weight)
        memory.observe(model)
    return memory.penalty(model, rows=7).detach()


def main(rank: int, store: str) -> None:
    """Compare what two ranks made together with what one process makes."""
    generator = torch.Generator().manual_seed(0)
    tasks = []
    for _ in range(2):
        # a rank sees fewer classes than there are: the first only even rows, of one class
        x = torch.randn(9, 3, generator=generator, dtype=torch.float64)
        tasks.append((x, torch.arange(9) % 2))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    alone = {}
    for name, make in MEMORIES.items():
        model.load_state_dict(start)
        alone[name] = penalty(make, model, tasks, None)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    wrapped, worst = DistributedDataParallel(model), 0.0
    for name, make in MEMORIES.items():
        model.load_state_dict(start)
        found = penalty(make, wrapped, tasks, rank)
        if name == "replay":
            # each rank replays its own rows; gradients, and so penalties, are averaged over ranks
            found *= 5 / 9 * 2 if rank == 0 else 4 / 9 * 2
            dist.all_reduce(found)
            found /= 2
        worst = max(worst, float((found / alone[name] - 1).abs()))
    print(f"rank {rank}: {worst:.1e}")
    dist.destroy_process_group()
    raise SystemExit(worst > 1e-10)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
