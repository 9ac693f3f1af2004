import numpy as np
import pytest
import torch
from torch import nn

from counterpoint.data import Batch, Tensors, as_batch, as_loader
from counterpoint.errors import InputError

NAMES = ["cls", "self", "shared", "weights", "target", "named", "inputs", "rows", "offset", "spelt"]


def test_the_spellings():
    x, y, w = torch.ones(3, 2), torch.arange(3), torch.tensor([1.0, 2.0, 0.0])
    assert as_batch(x).inputs == (x,)
    assert as_batch((x,)).target is None
    assert as_batch([x, y]).target is y
    for spelt in ("y", "target", "labels"):
        found = as_batch({"x": x, spelt: y, "weight": w, "mask": x})
        assert found.inputs == (x,)
        assert found.target is y
        assert torch.equal(found.weight, w)
        assert dict(found.named) == {"mask": x}
        assert found[spelt] is y
        assert found["x"] is found["mask"] is x
        assert found["weight"] is found.weight
        assert all(name in found for name in ("x", spelt, "weight", "mask"))
    assert as_batch(found) is found


def test_arrays_become_tensors_of_the_same_type_and_memory():
    x, y = np.ones((3, 2), dtype=np.float32), np.arange(3)
    found = as_batch({"x": x, "y": y})
    assert found["x"].dtype == torch.float32
    assert found["y"].dtype == torch.int64
    x[0, 0] = 5.0
    assert found["x"][0, 0] == 5.0
    x.flags.writeable = False
    assert torch.equal(as_batch((x, y))["x"], torch.from_numpy(x.copy()))


class Takes(nn.Module):
    def forward(self, x, **named):
        return x + sum(named.values())


@pytest.mark.parametrize("name", [*NAMES, "y", "labels"])
def test_no_name_of_the_users_is_taken_for_one_of_ours(name):
    x, extra = torch.ones(3, 2), torch.full((3, 2), 2.0)
    # three names are targets in a mapping: as keywords they are handed over by `named`
    mapped = name not in ("target", "y", "labels")
    batch = as_batch({"x": x, name: extra}) if mapped else Batch.of(x, named={name: extra})
    assert batch.named[name] is extra
    assert batch[name] is extra
    assert batch.target is None
    assert batch.weight is None
    assert batch.shared == frozenset()
    assert torch.equal(batch.take(slice(1, 2))[name], extra[1:2])
    if name != "self":  # nn.Module.__call__ has that one itself
        assert torch.equal(batch.call(Takes()), x + extra)


def test_what_is_not_there_is_named_with_the_nearest():
    batch = as_batch({"x": torch.ones(2), "price": torch.ones(2)})
    with pytest.raises(InputError, match="no 'pirce'; did you mean 'price'"):
        batch["pirce"]
    assert batch.get("pirce") is None
    assert batch.get("price") is batch["price"]
    with pytest.raises(InputError, match=r"no 0; it has names and no order: batch\['x'\]"):
        batch[0]
    with pytest.raises(InputError, match="by position; it has names and no order"):
        _, _ = batch


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ((torch.ones(2), torch.ones(2), torch.ones(2)), "third part is not taken for row weights"),
        ([torch.ones(2), torch.ones(2), torch.arange(2)], r"'weight': weight.*Batch\.of\(x"),
        ((torch.ones(2),) * 4, "found a tuple of 4 parts; pass unpack="),
        ((), "of 0 parts"),
        ("ab", "found a str"),
        (7, "found a int; pass unpack="),
        ({"x": torch.ones(2), "y": torch.ones(3)}, r"'y' must have 2 rows .* \(3,\)"),
        ({"x": torch.ones(2), "weight": torch.ones(2, 1)}, "one real number a row"),
        ({"x": torch.ones(2), "weight": torch.tensor([1.0, -1.0])}, "finite and at least 0"),
        ({"x": torch.ones(2), "weight": torch.tensor([1.0, torch.nan])}, "finite and at least 0"),
        ({"x": torch.ones(0)}, "at least one row, found none"),
        ({"x": torch.tensor(1.0)}, "at least one tensor with rows"),
    ],
)
def test_refused_in_one_line(found, message):
    with pytest.raises(InputError, match=message) as caught:
        as_batch(found)
    assert "\n" not in str(caught.value)


def test_a_reader_of_the_users_returns_a_batch():
    x, index = torch.ones(2), torch.arange(2)
    batch = as_batch((x, x, index), lambda found: Batch.of(found[0], target=found[1]))
    assert batch.weight is None
    with pytest.raises(InputError, match=r"returns Batch.of\(...\), found a tuple"):
        as_batch((x, x, index), lambda found: found[:2])


def test_parts_are_the_rows_and_what_all_share_goes_along_whole():
    x, mask = torch.arange(5.0), torch.ones(7)
    whole = Batch.of(x, target={"a": x, "b": -x}, weight=x, named={"mask": mask})
    parts = whole.parts(2)
    assert [part.rows for part in parts] == [2, 2, 1]
    assert [part.offset for part in parts] == [0, 2, 4]
    assert all(part["mask"] is mask for part in parts)
    assert torch.equal(torch.cat([part.target["b"] for part in parts]), -x)
    assert torch.equal(torch.cat([part.weight for part in parts]), x)
    chosen = whole.take(torch.tensor([4, 0]))
    assert chosen["x"].tolist() == [4.0, 0.0]
    assert chosen.rows == 2


def test_moving_to_where_it_is_costs_nothing():
    batch = Batch.of(torch.ones(2), target=torch.ones(2))
    assert batch.to(torch.device("cpu")) is batch
    moved = batch.to(torch.device("meta"))
    assert all(value.device.type == "meta" for value in moved.tensors())


@pytest.mark.parametrize("length", [4, 2, 7])
@pytest.mark.parametrize("seed", [None, 0])
def test_a_loader_takes_rows_as_parts_do_and_what_all_share_goes_along_whole(length, seed):
    x, mask = torch.arange(4.0), torch.arange(length)
    whole = Batch.of(x, target=x, named={"mask": mask}, shared=["mask"])
    parts = whole.parts(2)
    batches = list(as_loader(whole).batches(2, seed=seed))
    assert [batch.rows for batch in batches] == [2, 2]
    for batch in [*parts, *batches]:
        assert batch["mask"] is mask
        assert batch.shared == {"mask"}
        assert torch.equal(batch["x"], batch["y"])
    if seed is None:
        assert [batch["x"].tolist() for batch in batches] == [p["x"].tolist() for p in parts]


def test_some_rows_by_a_mask_are_counted():
    batch = Batch.of(torch.arange(4.0))
    some = batch.take(torch.tensor([True, False, True, True]))
    assert some.rows == len(some["x"]) == 3


def test_values_of_weights_are_looked_at_once_and_never_where_a_device_would_wait(monkeypatch):
    # a tensor without values refuses to be looked at, as one on a device would wait
    unknown = torch.ones(2, device="meta")
    assert Batch.of(torch.ones(2), weight=unknown).weight is not None
    with pytest.raises(InputError, match="one real number a row"):
        Batch.of(torch.ones(2), weight=unknown[:, None])
    wrong = Batch((torch.ones(2),), {}, None, torch.tensor([1.0, -1.0]), 2)
    with pytest.raises(InputError, match="finite and at least 0"):
        Tensors(wrong)
    seen = []
    monkeypatch.setattr("counterpoint.data._batch.check_weight_values", seen.append)
    loader = Tensors(Batch.of(torch.ones(6), weight=torch.ones(6)))
    looks = len(seen)
    assert len(list(loader.batches(2, seed=0))) == 3
    assert len(seen) == looks


def test_what_forward_does_not_take_is_named():
    x = torch.zeros(3, 2)
    with pytest.raises(InputError, match=r"does not fit Linear.forward: .*unexpected.*'label'"):
        as_batch({"input": x, "label": torch.zeros(3)}).call(torch.nn.Linear(2, 1))
    with pytest.raises(InputError, match="missing a required argument: 'input2'"):
        as_batch((x, torch.zeros(3))).call(torch.nn.Bilinear(2, 2, 1))


def test_a_failure_inside_a_model_is_the_models():
    class Wrong(torch.nn.Module):
        def forward(self, x):
            return x + "one"

    with pytest.raises(TypeError, match="unsupported operand|must be Tensor|invalid"):
        as_batch((torch.zeros(3, 2), torch.zeros(3))).call(Wrong())
