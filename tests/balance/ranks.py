"""One of several ranks; started with torchrun by test_distributed.py. Prints one JSON object."""

import copy
import json

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from balance_models import make, numbers
from counterpoint.balance import Balancer
from counterpoint.errors import InputError

CASES = {
    "features": ("upgrad", "features"),
    "magnitude": ("magnitude", "auto"),
    "parameters": ("mgda", "parameters"),
    "last": ("config", "last"),
    "sketch": ("cagrad", "sketch"),
    "losses": ("dwa", "auto"),
    "random": ("pcgrad", "features"),
    "alternate": ("alternate", "auto"),
}


def goals(model, batch):
    """Sums over rows, divided by the rows that every rank would have if all had alike."""
    return {
        name: 10.0 ** (-k) * (output - k).square().sum() / batch["share"]
        for k, (name, output) in enumerate(model(batch["x"]).items())
    }


def parts(rows):
    """The rows of each rank, the last one with fewer."""
    ranks = dist.get_world_size()
    size = -(-rows // ranks)
    return [slice(low, min(low + size, rows)) for low in range(0, rows, size)]


def train(model, balancer, batches):
    optimiser = torch.optim.SGD(model.parameters(), 0.05)
    steps = []
    for batch in batches:
        optimiser.zero_grad()
        steps.append(balancer.step(goals, model, batch))
        optimiser.step()
    return steps


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def spread(vector):
    """How far the ranks are from one another."""
    top, low = vector.clone(), vector.clone()
    dist.all_reduce(top, dist.ReduceOp.MAX)
    dist.all_reduce(low, dist.ReduceOp.MIN)
    return float((top - low).abs().max())


def compare(rule, gram, alone):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    model, _ = make("mlp")
    other = copy.deepcopy(model)
    joined = [numbers(rows, 5, seed=rows) for rows in (12, 12, 7)]
    mine = [{"x": x[parts(len(x))[rank]], "share": len(x) / ranks} for x in joined]
    wrapped = DistributedDataParallel(model)
    here = train(wrapped, Balancer(rule, gram=gram), mine)
    whole = [{"x": x, "share": len(x)} for x in joined]
    there = train(other, Balancer(rule, gram=gram, group=alone), whole)
    return {
        "replicas": spread(flat(model)),
        "weights": float((flat(model) - flat(other)).abs().max()),
        "score": max(abs(float(a.score - b.score)) for a, b in zip(here, there, strict=True)),
        "cosines": float((here[-1].cosines - there[-1].cosines).nan_to_num().abs().max()),
    }


def sharded(rule, gram, alone):
    """Weights in shards (FSDP2)."""
    model, x = make("mlp")
    other = copy.deepcopy(model)
    ranks, rank = dist.get_world_size(), dist.get_rank()
    mesh = init_device_mesh("cpu", (ranks,))
    fully_shard(model.trunk, mesh=mesh)
    fully_shard(model, mesh=mesh)
    x = numbers(6 * ranks, 5)
    mine = {"x": x[6 * rank : 6 * rank + 6], "share": 6.0}
    here = train(model, Balancer(rule, gram=gram), [mine] * 3)
    there = train(other, Balancer(rule, gram=gram, group=alone), [{"x": x, "share": len(x)}] * 3)
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return {
        "weights": max(float((a.full_tensor() - b).abs().max()) for a, b in pairs),
        "finite": bool(torch.isfinite(here[-1].norms).all()),
        "same": spread(here[-1].norms),
        "score": abs(float(here[-1].score - there[-1].score)),
    }


def broken(policy):
    """The last rank's goal b is not finite."""
    model, x = make("mlp")
    wrapped = DistributedDataParallel(model)
    balancer = Balancer("magnitude", nonfinite=policy)
    last = dist.get_rank() == dist.get_world_size() - 1

    def goals_here(model, batch):
        found = goals(model, batch)
        if last:
            found["b"] = found["b"] * float("nan")
        return found

    batch = {"x": x, "share": len(x)}
    found = {}
    try:
        step = balancer.step(goals_here, wrapped, batch)
        found["status"], found["dropped"] = step.status.word, list(step.dropped)
        norms = [p.grad is not None and float(p.grad.norm()) for p in model.parameters()]
        found["finite"] = all(torch.isfinite(torch.tensor(n)) for n in norms)
        torch.optim.SGD(model.parameters(), 0.1).step()
    except InputError as error:
        found["error"] = str(error)
    model.zero_grad()
    after = balancer.step(goals, wrapped, batch)  # and the next step is an ordinary one
    found["after"] = after.status.word
    found["replicas"] = spread(flat(model))
    return found


def unlike():
    model, x = make("mlp")
    wrapped = DistributedDataParallel(model)
    losses = goals(wrapped, {"x": x, "share": 1.0})
    if dist.get_rank() == 1:
        del losses["c"]
    try:
        Balancer().backward(losses, wrapped)
    except InputError as error:
        return str(error)
    return ""


def main():
    dist.init_process_group("gloo")
    alone = [dist.new_group([rank]) for rank in range(dist.get_world_size())][dist.get_rank()]
    found = {name: compare(rule, gram, alone) for name, (rule, gram) in CASES.items()}
    for rule, gram in (("upgrad", "features"), ("magnitude", "auto"), ("sum", "sketch")):
        found[f"sharded {gram}"] = sharded(rule, gram, alone)
    found |= {f"broken {policy}": broken(policy) for policy in ("raise", "skip", "drop")}
    found["unlike"] = unlike()
    gathered = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, found)
    if dist.get_rank() == 0:
        print(json.dumps(gathered))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
