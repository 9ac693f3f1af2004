"""The Gram matrix from directional derivatives: a cost that does not grow with the goals."""

import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call

from counterpoint.balance._gram import Gram
from counterpoint.balance._ranks import Ranks, shard, sharded
from counterpoint.balance._state import GoalState
from counterpoint.balance.sources._source import Measured, StepContext
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Goals, ModelWithGoals
from counterpoint.parameters import Pattern, select, unwrapped
from counterpoint.seeding import generator as make_generator

_STEP = 3e-3
_FEW = 4.0  # probes; a covariance of fewer says less than their squares do


@dataclass(frozen=True)
class Probes:
    """What the goals were along random directions, or how fast they changed."""

    losses: list[dict[str, Tensor]]  # for each direction
    length: Tensor  # of the way, (); 1 where it is a derivative


class Sketch:
    """G estimated by ``E[d d'] = J J'`` with ``d = J v`` for directions v of random signs.

    One more forward pass without a graph, at ``theta + e v``, gives all K derivatives
    ``d_k = (L_k(theta + e v) - L_k(theta)) / e`` at once; ``d d'`` is averaged over probes and,
    exponentially, over steps. With n probes in the average the relative spread of a squared norm
    is about ``sqrt(2 / n)``; an average of decay b over steps counts as
    ``n = probes (1 + b) / (1 - b)``. The averages are also over the change of J in that time.

    Difference errors: truncation grows with e, rounding with 1 / e. What bends alike in all
    directions is taken away (the covariance of d is averaged, not its square); what remains is
    large where gradients are much smaller than e times the curvature, near convergence: `exact`
    takes forward-mode derivatives instead, at the cost of about two forward passes, for models
    whose operations have them. Over ranks directions are the same and derivatives are
    averaged: K numbers travel.

    Args:
        probes: directions a step.
        decay: of the running average; 0: each step for itself.
        exact: forward mode instead of a difference.
        length: e, as a share of the root mean square of the weights.
        seed: of the directions.
    """

    def __init__(
        self,
        probes: int = 1,
        decay: float = 0.95,
        *,
        exact: bool = False,
        length: float = _STEP,
        seed: int = 0,
    ) -> None:
        if probes < 1 or not 0.0 <= decay < 1.0 or not length > 0.0:
            raise InputError(
                f"sketch: expected probes of at least 1, a decay from 0 to 1 and a positive length,"
                f" found probes = {probes}, decay = {decay:g}, length = {length:g}"
            )
        self.text = f"sketch: {probes} random direction{'s' * (probes > 1)} a step"
        self._probes, self._decay, self._exact, self._length = probes, decay, exact, length
        self._generator = make_generator(seed, 7)
        self._memory = GoalState(_start)

    def look(
        self,
        goals: Goals,
        model: nn.Module,
        batch: Batch,
        weights: Sequence[nn.Parameter],
        ranks: Ranks,
    ) -> "Probes":
        """Evaluate the goals along random directions; before the step's own forward pass.

        Buffers and torch's generators are afterwards as they were before, so the pass that
        follows draws the same dropout masks, and statistics are updated once.

        Args:
            goals: the goals' function.
            model: the model.
            batch: the step's batch.
            weights: the weights to move.
            ranks: who trains the model.

        Returns:
            What is to be in `StepContext.looked`.

        Raises:
            InputError: no weight asks for a gradient, or weights are too coarse to be moved.
        """
        places = [weight for weight in weights if weight.requires_grad]
        if not places:
            raise InputError("sketch: no weight asks for a gradient")
        coarse = next((w.dtype for w in places if w.dtype in (torch.float16, torch.bfloat16)), None)
        if coarse is not None and not self._exact:
            raise InputError(
                f"sketch: weights of {coarse} cannot be moved by so little; use Sketch(exact=True),"
                " or gram='features'"
            )
        shards = [shard(weight.detach()) for weight in places]
        total = sum(own.numel() for own in shards)
        length = torch.ones((), device=shards[0].device)
        if not self._exact:
            length = self._length * _spread(shards, ranks if sharded(places) else None)
        probe = _forward_mode if self._exact else _displaced
        moved: list[dict[str, Tensor]] = []
        for _ in range(self._probes):
            word = int(torch.empty((), dtype=torch.int64).random_(generator=self._generator))
            own = ranks.place if sharded(places) else 0  # replicas move alike, shards do not
            signs = _signs(total, length, make_generator(word, own))
            with _undisturbed(model):
                moved.append(probe(goals, model, batch, places, signs))
        return Probes(moved, length)

    def measure(self, context: StepContext) -> Measured:
        """See `GramSource`.

        Raises:
            InputError: nobody looked: `Balancer.step` evaluates the goals, `backward` cannot; or
                the goals' function gave other goals the second time.
        """
        seen = context.looked
        if not isinstance(seen, Probes):
            raise InputError(
                "gram='sketch': evaluates the goals once more, so it needs their function; call"
                " balancer.step(goals, model, batch) instead of balancer.backward"
            )
        here = torch.stack([loss.detach().double() for loss in context.losses])
        probes: list[Tensor] = []
        for found in seen.losses:
            if tuple(found) != context.names:
                raise InputError(
                    f"gram='sketch': the goals' function gave {tuple(found)} and then"
                    f" {context.names}"
                )
            # differences in float64, where losses come in float32: they are nearly equal
            there = torch.stack([loss.double() for loss in found.values()])
            probes.append(there if self._exact else (there - here) / seen.length)
        derivatives = context.ranks.mean(torch.stack(probes))
        return Measured(self._averaged(context.names, derivatives))

    def state(self) -> dict[str, Tensor]:
        """The running averages and the generator."""
        return {"generator": self._generator.get_state(), **self._memory.state()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        rest = dict(state)
        self._generator.set_state(rest.pop("generator"))
        self._memory.restore(rest)

    def _averaged(self, names: tuple[str, ...], derivatives: Tensor) -> Gram:
        """The covariance of the derivatives, averaged over steps."""
        old = self._memory.recall(names, derivatives.device)
        part, probes = 1.0 - self._decay, len(derivatives)
        # "share" is the sum of the weights so far: young averages and late goals are unbiased
        new = {
            "total": derivatives.T @ derivatives / probes,
            "mean": derivatives.mean(0)[:, None].expand(-1, len(names)),
            "share": torch.ones_like(old["share"]),
        }
        new = {name: old[name] + part * (value - old[name]) for name, value in new.items()}
        # sums of the squares of what each probe counts: how many the average is worth
        new["squares"] = self._decay**2 * old["squares"] + part**2 / probes
        self._memory.keep(names, new, torch.isfinite(derivatives).all())
        count = new["share"].square() / new["squares"]
        mean = new["mean"] / new["share"]
        raw = new["total"] / new["share"]
        # (L(theta + e v) - L(theta)) / e = g v + e/2 v' H v, and v' H v is nearly the same for
        # every v: the mean is what a finite step bends; of a few probes there is none to take away
        bent = mean * mean.T
        enough = count > _FEW
        # Bessel's correction, with as many probes as the weighted average is worth
        return Gram.from_matrix(torch.where(enough, (raw - bent) * count / (count - 1.0), raw))


def movable(model: nn.Module, at: Pattern | None) -> list[nn.Parameter]:
    """The weights that a sketch moves: those that are chosen and ask for a gradient."""
    chosen = model.parameters() if at is None else select(model, at).values()
    return [weight for weight in chosen if weight.requires_grad]


def _start(goals: int) -> dict[str, Tensor]:
    zeros = torch.zeros(goals, goals, dtype=torch.float64)
    return {name: zeros.clone() for name in ("share", "total", "mean", "squares")}


def _signs(count: int, length: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers +length or -length at random, float32 (count,)."""
    # one 64-bit draw for 64 of them: the sign of a float is its highest bit, the rest is `length`
    words = torch.empty(-(-count // 64), dtype=torch.int64)
    words.random_(-(2**63), None, generator=generator)
    bits = torch.bitwise_left_shift(
        words.view(torch.int32).to(length.device)[:, None],
        torch.arange(32, dtype=torch.int32, device=length.device),
    )
    bits.bitwise_and_(-(2**31)).bitwise_or_(length.view(torch.int32))
    return bits.view(torch.float32).flatten()[:count]


def _spread(weights: Sequence[Tensor], ranks: Ranks | None) -> Tensor:
    """Root mean square of the weights, (); of the shards of all ranks if given."""
    squares = torch.stack([weight.float().norm() for weight in weights]).square().sum()
    count = torch.full_like(squares, float(sum(weight.numel() for weight in weights)))
    if ranks is not None:
        squares, count = ranks.mean(squares), ranks.mean(count)
    return (squares / count.clamp_min(1.0)).sqrt().clamp_min(1e-12)


def _displaced(
    goals: Goals,
    model: nn.Module,
    batch: Batch,
    weights: Sequence[nn.Parameter],
    shift: Tensor,
) -> dict[str, Tensor]:
    """The goals with the weights moved; the weights themselves are never written to, shards are."""
    if sharded(weights):
        return _displaced_shards(goals, model, batch, weights, shift)
    parts = shift.split([weight.numel() for weight in weights])
    kept = [weight.data for weight in weights]
    try:
        for weight, value, part in zip(weights, kept, parts, strict=True):
            # a tensor put in place of another: no rounding on the way back, no version counted up
            weight.data = value + part.view_as(value).to(value.dtype)
        with torch.no_grad():
            return dict(goals(model, batch))
    finally:
        for weight, value in zip(weights, kept, strict=True):
            weight.data = value


def _displaced_shards(
    goals: Goals,
    model: nn.Module,
    batch: Batch,
    weights: Sequence[nn.Parameter],
    shift: Tensor,
) -> dict[str, Tensor]:
    shards = [shard(weight.detach()) for weight in weights]
    before = [own.clone() for own in shards]
    try:
        for own, part in zip(shards, shift.split([s.numel() for s in shards]), strict=True):
            own.add_(part.view_as(own).to(own.dtype))
        with torch.no_grad():
            return dict(goals(model, batch))
    finally:
        for own, value in zip(shards, before, strict=True):
            own.copy_(value)
        for module in model.modules():
            gathered = getattr(module, "reshard", None)
            if callable(gathered):
                gathered()  # what was gathered is of the moved weights


def _forward_mode(
    goals: Goals,
    model: nn.Module,
    batch: Batch,
    weights: Sequence[nn.Parameter],
    direction: Tensor,
) -> dict[str, Tensor]:
    together = ModelWithGoals(unwrapped(model), goals)
    names = {id(weight): name for name, weight in together.named_parameters()}
    parts = direction.split([weight.numel() for weight in weights])
    with warnings.catch_warnings(), forward_ad.dual_level(), torch.no_grad():
        # torch compiles its own rules of forward mode when the first is used
        warnings.filterwarnings("ignore", r".*torch\.jit\.script", DeprecationWarning)
        duals = {
            names[id(weight)]: forward_ad.make_dual(
                weight.detach(), part.view_as(weight).to(weight)
            )
            for weight, part in zip(weights, parts, strict=True)
        }
        found = functional_call(together, duals, (batch,))
        pairs = {name: forward_ad.unpack_dual(loss) for name, loss in found.items()}
        return {
            name: torch.zeros_like(pair.primal) if pair.tangent is None else pair.tangent.clone()
            for name, pair in pairs.items()
        }


@contextmanager
def _undisturbed(model: nn.Module) -> Generator[None, None, None]:
    """Buffers and random streams are as before afterwards."""
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=devices))
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in kept:
                    buffer.copy_(value)
