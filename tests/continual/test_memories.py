"""What every memory does, whatever it remembers."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from continual.tasks import ANCHORED, LIKELIHOOD, MEMORIES, batches, moved, net, task, taught
from counterpoint.continual import MAS, LwF, Memory
from counterpoint.data import Batch
from counterpoint.errors import InputError
from counterpoint.goals import Categorical

every = pytest.mark.parametrize("name", MEMORIES)
anchored = pytest.mark.parametrize("name", ANCHORED)


@every
def test_is_a_memory_that_says_how_many_tasks_it_holds(name):
    memory, _ = taught(name)
    assert isinstance(memory, Memory)
    assert memory.tasks == 2


@every
def test_before_any_task_it_has_nothing_to_say(name):
    memory = MEMORIES[name]()
    with pytest.raises(InputError, match=r"no task so far; call consolidate"):
        memory.penalty(net(), task(), rows=30)


@every
def test_leaving_costs_more_than_staying(name):
    memory, model = taught(name, tasks=1)
    found = task()
    near = memory.penalty(model, found, rows=30)
    far = memory.penalty(moved(model, by=3.0), found, rows=30)
    assert far > near
    far.backward()
    assert all(weight.grad is not None for weight in model.parameters())


@every
def test_strength_scales_and_rows_divide(name):
    memory, model = taught(name)
    copies = [deepcopy(memory) for _ in range(3)]
    object.__setattr__(copies[1], "strength", 4.0)
    moved(model)
    one, strong = (copy.penalty(model, task(), rows=10) for copy in copies[:2])
    more = copies[2].penalty(model, task(), rows=20)
    torch.testing.assert_close(strong, 4 * one)
    # dark experience replay is in units of its own
    torch.testing.assert_close(more, one if name == "der" else one / 2)


@every
def test_goes_on_from_its_state_to_the_bit(name, tmp_path):
    memory, model = taught(name)
    other, third, early = (MEMORIES[name]() for _ in range(3))
    other.load_state_dict(memory.state_dict())
    memory.save(tmp_path / "memory")
    third.load(tmp_path / "memory")
    # states of earlier versions held the tensors without a group
    state = memory.state_dict()
    early.load_state_dict({key.removeprefix("held."): value for key, value in state.items()})
    moved(model)
    wanted = memory.penalty(model, task(), rows=10)
    for found in (other, third, early):
        _attach(found)
        assert found.tasks == memory.tasks
        assert torch.equal(found.penalty(model, task(), rows=10), wanted)


class Named(torch.nn.Module):
    """Weights that are called like what a state holds beside them."""

    def __init__(self):
        super().__init__()
        for name in ("plain", "settings", "tasks", "values"):
            self.register_parameter(name, torch.nn.Parameter(torch.ones(2)))

    def forward(self, x):
        return x * (self.plain + self.settings + self.tasks + self.values)


def test_a_weight_may_have_any_name():
    memory, again = LwF(), LwF()
    memory.consolidate(Named(), LIKELIHOOD, [(torch.eye(2), torch.tensor([0, 1]))])
    again.load_state_dict(memory.state_dict())
    again.attach(LIKELIHOOD)
    assert again.tasks == 1
    assert torch.equal(again.answers(Named(), Batch.of(torch.eye(2)))[""], 4 * torch.eye(2))


@every
def test_a_state_is_a_snapshot(name):
    memory, model = taught(name)
    state = memory.state_dict()
    before = {key: value.clone() for key, value in state.items()}
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    moved(model)
    memory.observe(model)
    memory.consolidate(model, LIKELIHOOD, batches(task(5)))
    assert all(torch.equal(state[key], value) for key, value in before.items())


@every
def test_refuses_the_state_of_another(name):
    memory, _ = taught(name)
    other = "mas" if name != "mas" else "ewc"
    with pytest.raises(InputError, match="make it with the same settings"):
        MEMORIES[other]().load_state_dict(memory.state_dict())
    with pytest.raises(InputError, match="not a state of a memory"):
        memory.load_state_dict({"weight": torch.zeros(2)})


@every
def test_a_task_without_rows_is_refused_and_nothing_is_lost(name):
    memory, model = taught(name)
    moved(model)
    state = memory.state_dict()
    with pytest.raises(InputError, match="at least one batch, found none"):
        memory.consolidate(model, LIKELIHOOD, [])
    after = memory.state_dict()
    assert memory.tasks == 2
    assert all(torch.equal(after[key], value) for key, value in state.items())


@every
def test_a_task_of_one_class_is_refused_and_nothing_is_lost(name):
    memory, model = taught(name)
    state, (x, y) = memory.state_dict(), task()
    with pytest.raises(InputError, match="at least two classes, found 30 rows all of class 0"):
        memory.consolidate(model, LIKELIHOOD, batches((x, 0 * y)))
    assert memory.tasks == 2
    after = memory.state_dict()
    assert all(
        torch.equal(after[key], value)
        for key, value in state.items()
        if not key.endswith("generator")
    )


@every
def test_refuses_numbers_that_are_none(name):
    memory, model = taught(name, tasks=1)
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="rows: must be the rows of the current task"):
            memory.penalty(model, task(), rows=wrong)
        with pytest.raises(InputError, match="strength: must be positive"):
            MEMORIES[name](strength=float(wrong))


@every
def test_leaves_modes_and_random_state_as_they_were(name):
    memory, model = MEMORIES[name](), net().train()
    model[1].eval()
    memory.begin(model)
    before = torch.get_rng_state()
    memory.consolidate(model, LIKELIHOOD, batches(task()))
    memory.penalty(model, task(), rows=30)
    assert [module.training for module in model] == [True, False, True]
    assert torch.equal(before, torch.get_rng_state())


@anchored
def test_injected_gradients_are_those_of_the_penalty(name):
    memory, model = taught(name)
    moved(model)
    model.zero_grad()
    penalty = memory.penalty(model, rows=7)
    penalty.backward()
    wanted = [weight.grad.clone() for weight in model.parameters()]
    with torch.no_grad():
        for weight in model.parameters():
            weight.grad.fill_(1.0)
    memory.add_gradients(model, rows=7)
    for weight, gradient in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(weight.grad, 1 + gradient, rtol=1e-12, atol=1e-13)
    value = memory.value(model, rows=7)
    assert torch.equal(value, penalty.detach())
    assert not value.requires_grad
    assert any(bool(gradient.abs().max() > 1e-3) for gradient in wanted)


@anchored
def test_gradients_are_made_where_there_are_none(name):
    memory, model = taught(name)
    moved(model).zero_grad()
    memory.add_gradients(model, rows=7)
    assert all(bool(weight.grad.abs().max() > 0) for weight in model.parameters())


@anchored
def test_weights_that_changed_are_refused_by_name(name):
    memory, _ = taught(name)
    with pytest.raises(InputError, match=r"'0.weight' has shape \(4, 2\) in it, found \(5, 2\)"):
        memory.penalty(net(hidden=5), rows=30)
    more = torch.nn.Sequential(*net(), torch.nn.Linear(3, 3).double())
    with pytest.raises(InputError, match=r"since the last task: new: 3\.bias, 3\.weight; grown="):
        memory.penalty(more, rows=30)
    renamed = torch.nn.Sequential(torch.nn.Tanh(), *net())
    for parameter in renamed[3].parameters():
        parameter.requires_grad_(False)
    with pytest.raises(InputError, match="since the last task: new: 1.bias, 1.weight"):
        memory.add_gradients(renamed, rows=30)
    with pytest.raises(InputError, match=r"since the last task: gone: 2\.bias, 2\.weight"):
        memory.penalty(net()[:2], rows=30)


def test_damaged_folders_are_refused(tmp_path):
    memory, _ = taught("ewc", tasks=1)
    memory.save(tmp_path / "memory")
    file = tmp_path / "memory" / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match="damaged"):
        MEMORIES["ewc"]().load(tmp_path / "memory")
    with pytest.raises(InputError, match="exists already"):
        memory.save(tmp_path / "memory")


def _attach(memory):
    if hasattr(memory, "attach"):
        memory.attach(LIKELIHOOD)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("importance", ["absolute", "square"])
def test_mas_of_half_precision_is_near_that_of_single(dtype, importance):
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 3, generator=draw).to(dtype), torch.randint(3, (60,), generator=draw)
    penalties = []
    for kind in (dtype, torch.float32):
        model = nn.Linear(3, 3)
        with torch.no_grad():
            for weight, value in zip(model.parameters(), (0.25, -0.5), strict=True):
                weight.fill_(value)
        memory = MAS(importance=importance)
        memory.consolidate(model.to(kind), Categorical(), [(x.to(kind), y)])
        with torch.no_grad():
            model.weight.add_(0.5)
        penalties.append(memory.penalty(model, rows=60).item())
    assert penalties[0] == pytest.approx(penalties[1], rel=0.02)
