"""Runs over many seeds at once: rules, descent on a field, training of small networks.

Both return one list of (step, position) a seed.
"""

import math

import torch
from torch import nn

from counterpoint.balance._step import BalancedStep
from counterpoint.balance.monitor import Monitor, Positions


def mixed(seeds):
    """A generator of all the seeds, so that another set of seeds is another set of runs."""
    return torch.Generator().manual_seed(7919 * seeds[0] + len(seeds))


# Rules: weights of which 1 is the plain mean.


def mean(norms, generator):
    return torch.ones_like(norms)


def magnitude(norms, generator):
    return norms.shape[1] * norms / norms.sum(1, keepdim=True).clamp_min(1e-300)


def impartial(norms, generator):
    inverse = 1 / norms.clamp_min(1e-300)
    return norms.shape[1] * inverse / inverse.sum(1, keepdim=True)


def largest(norms, generator):
    return norms.shape[1] * nn.functional.one_hot(norms.argmax(1), norms.shape[1]).double()


def one(norms, generator):
    chosen = torch.randint(norms.shape[1], (len(norms),), generator=generator)
    return norms.shape[1] * nn.functional.one_hot(chosen, norms.shape[1]).double()


def sampled(norms, generator):
    chosen = torch.multinomial(norms.clamp_min(1e-12), 1, generator=generator)[:, 0]
    return norms.shape[1] * nn.functional.one_hot(chosen, norms.shape[1]).double()


class Recorder:
    """Keeps weights of all seeds and writes down what happens to them."""

    def __init__(self, weights, generator):
        self.weights = weights
        self.models = []
        for each in weights:
            model = nn.Module()
            model.weight = nn.Parameter(each)  # shares memory: sees every step
            self.models.append(model)
        self.positions = [Positions(model, generator) for model in self.models]
        self.runs = [[] for _ in weights]

    def __call__(self, losses, gradients, weights):
        norms, cosines = gram(gradients)
        names = tuple("abcdefgh"[: losses.shape[1]])
        # As a balancer's: losses in the model's type, the rest in float64.
        rows = zip(losses, weights, norms, cosines, strict=True)
        for run, positions, (loss, weight, norm, cosine) in zip(
            self.runs, self.positions, rows, strict=True
        ):
            step = BalancedStep(names, loss, loss.mean(), weight, norm, cosine)
            run.append((step, positions()))


def gram(gradients):
    norms = gradients.double().norm(dim=2)
    unit = gradients.double() / norms.clamp_min(1e-300)[..., None]
    return norms, unit @ unit.mT


def descend(field, weights, rule, rate, steps, generator, noise=0.0):
    """Gradient descent on a field; rate is a number or one a seed."""
    record = Recorder(weights.clone(), generator)
    for _ in range(steps):
        losses, gradients = field(record.weights)
        if noise:
            more = torch.randn(gradients.shape, generator=generator, dtype=gradients.dtype)
            gradients = gradients + noise * more
        chosen = rule(gradients.norm(dim=2), generator)
        record(losses, gradients, chosen)
        step = torch.einsum("sk,skd->sd", chosen, gradients) / losses.shape[1]
        record.weights -= (rate * step).to(record.weights.dtype)
    return record.runs


class Networks:
    """Goals a: regression; b: regression or two classes; rows, noise and labels differ by seed."""

    def __init__(self, seeds, g, *, classes=False, inputs=10, hidden=32, rows=400, noise=0.3):
        self.g, self.count, self.classes = g, seeds, classes
        self.hidden, self.inputs = hidden, inputs
        self.x = torch.randn(seeds, rows, inputs, generator=g)
        teacher = torch.randn(seeds, inputs, 2, generator=g) / inputs**0.5
        clean = torch.sin(2 * self.x @ teacher)
        self.y = clean + noise * torch.randn(clean.shape, generator=g)
        self.labels = (self.y[..., 1] > 0).float()
        self.sizes = (inputs * hidden, hidden, hidden * 2, 2)

    def start(self):
        parts = [
            torch.randn(self.count, self.sizes[0], generator=self.g) / self.inputs**0.5,
            torch.zeros(self.count, self.hidden),
            torch.randn(self.count, self.sizes[2], generator=self.g) / self.hidden**0.5,
            torch.zeros(self.count, 2),
        ]
        return torch.cat(parts, 1)

    def goals(self, flat, rows):
        a, b, c, d = flat.split(self.sizes, 1)
        each = torch.arange(self.count)[:, None]
        x, y, labels = self.x[each, rows], self.y[each, rows], self.labels[each, rows]
        h = torch.tanh(x @ a.view(-1, self.inputs, self.hidden) + b[:, None])
        out = h @ c.view(-1, self.hidden, 2) + d[:, None]
        first = (out[..., 0] - y[..., 0]).square().mean(1)
        if self.classes:
            second = nn.functional.binary_cross_entropy_with_logits(
                3 * out[..., 1], labels, reduction="none"
            ).mean(1)
        else:
            second = (out[..., 1] - y[..., 1]).square().mean(1)
        return torch.stack([first, second], 1)


def fit(
    nets, rule, rate, steps, g, *, batch=32, adam=False, momentum=0.0, schedule=None, start=None
):
    """SGD or Adam on small batches (or all rows: batch=None) of S networks at once."""
    record = Recorder(nets.start() if start is None else start.clone(), g)
    weights = record.weights
    first, second = torch.zeros_like(weights), torch.zeros_like(weights)
    total = nets.x.shape[1]
    for t in range(steps):
        rows = (
            torch.arange(total).expand(nets.count, -1)
            if batch is None
            else torch.randint(total, (nets.count, batch), generator=g)
        )
        leaf = weights.clone().requires_grad_()
        losses = nets.goals(leaf, rows)
        each = [torch.autograd.grad(losses[:, k].sum(), leaf, retain_graph=True)[0] for k in (0, 1)]
        gradients = torch.stack(each, 1)
        chosen = rule(gradients.double().norm(dim=2), g)
        record(losses.detach(), gradients, chosen)
        step = torch.einsum("sk,skd->sd", chosen.float(), gradients) / 2
        scale = rate * (1.0 if schedule is None else schedule(t / steps))
        if adam:
            first, second = 0.9 * first + 0.1 * step, 0.999 * second + 0.001 * step.square()
            unbiased = first / (1 - 0.9 ** (t + 1)), second / (1 - 0.999 ** (t + 1))
            step = unbiased[0] / (unbiased[1].sqrt() + 1e-8)
        else:
            first = momentum * first + step
            step = first
        weights -= scale * step
    return record


def train(nets, rule, rate, steps, g, **how):
    return fit(nets, rule, rate, steps, g, **how).runs


def cosine(done):
    return 0.5 * (1 + math.cos(math.pi * done))


def told(run, **settings):
    """The alarms of a run that began, in order."""
    monitor = Monitor(**settings)
    alarms = [alarm for step, position in run for alarm in monitor.add(step, position)]
    return [alarm for alarm in alarms if not alarm.over]
