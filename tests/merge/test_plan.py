"""Selectors, schedules and weights become numbers for tensors, or one line that says why not."""

import re

import pytest
import torch

from counterpoint.errors import InputError
from counterpoint.merge import Jump, Knots, MergePlan, Policy, Ramp, layers, read_weight, tabulate
from counterpoint.merge._entries import TensorEntry, policy
from counterpoint.merge._selectors import choose

BLOCKS = [
    (f"blocks.{i}.{part}", (2, 2) if part == "mlp.weight" else (2,), "F32")
    for i in range(12)
    for part in ("norm.weight", "mlp.weight", "mlp.bias")
]
TABLE = tabulate(
    [
        ("embed.weight", (5, 2), "BF16"),
        ("conv1.weight", (2, 1, 3, 3), "F32"),
        ("conv10.weight", (2, 1, 3, 3), "F32"),
        ("bn.weight", (2,), "F32"),
        ("bn.running_mean", (2,), "F32"),
        ("bn.num_batches_tracked", (), "I64"),
        *BLOCKS,
        ("head.weight", (3, 2), "F32"),
        ("head.bias", (3,), "F32"),
        ("mask", (2,), "BOOL"),
    ],
    ties={"tied.weight": "embed.weight"},
)


def chosen(selector):
    return list(dict.fromkeys(match.layer.name for match in choose(selector, TABLE)))


@pytest.mark.parametrize(
    ("selector", "layers_chosen"),
    [
        ("conv1", ["conv1"]),
        ("conv*", ["conv1", "conv10"]),
        ("blocks.3", ["blocks.3.norm", "blocks.3.mlp"]),
        ("blocks.*.norm", [f"blocks.{i}.norm" for i in range(12)]),
        ("blocks[3]", ["blocks.3.norm", "blocks.3.mlp"]),
        ("blocks[-1]", ["blocks.11.norm", "blocks.11.mlp"]),
        ("blocks[10:].mlp", ["blocks.10.mlp", "blocks.11.mlp"]),
        ("blocks[:-10].mlp", ["blocks.0.mlp", "blocks.1.mlp"]),
        ("blocks[*].norm", [f"blocks.{i}.norm" for i in range(12)]),
        ("**.norm", [f"blocks.{i}.norm" for i in range(12)]),
        (r"re:conv\d", ["conv1"]),
        (r"re:blocks\.1\d\.mlp\.bias", ["blocks.10.mlp", "blocks.11.mlp"]),
        ("#1", ["conv1"]),
        ("#0:2", ["embed", "conv1"]),
        ("@embedding", ["embed"]),
        ("@convolution", ["conv1", "conv10"]),
        ("@head", ["head"]),
        ("@buffer", ["bn"]),
        ("tied", ["embed"]),
        ("mask", [""]),
    ],
)
def test_a_selector_chooses(selector, layers_chosen):
    assert chosen(selector) == layers_chosen


def test_kinds_choose_tensors_too():
    assert {match.entry.name for match in choose("@bias", TABLE)} == {
        "head.bias",
        *(f"blocks.{i}.mlp.bias" for i in range(12)),
    }
    assert all(match.layer.kind == "norm" for match in choose("@norm", TABLE))
    assert [match.entry.name for match in choose("**.bias", TABLE)][-1] == "head.bias"


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("conv2", "'conv2' matches no layer or tensor; did you mean 'conv1'"),
        ("mlp", "did you mean 'blocks.0.mlp'"),
        ("block[3:5]", r"did you mean 'blocks[3:5]'"),
        ("blocks[12]", "matches no layer or tensor"),
        ("blocks[a]", r"expected numbers as in 'blocks[4:8]'"),
        ("#99", "there are 30 layers, #0 to #29"),
        ("#x", "expected a layer's number such as '#3'"),
        ("@convolutions", "did you mean 'convolution'"),
        ("@attention", "matches no layer; kinds here are"),
        ("re:conv", "matches no whole name"),
        ("re:(", "is no regular expression"),
        ("", "selector is a text"),
    ],
)
def test_a_rule_that_matches_nothing_says_what_is_near(selector, message):
    with pytest.raises(InputError, match=re.escape(message)):
        choose(selector, TABLE)


def test_blocks_are_found_wherever_their_list_is():
    table = tabulate([(f"model.h.{i}.weight", (2, 2), "F32") for i in range(3)])
    with pytest.raises(InputError, match=re.escape("did you mean 'model.h[1:]'")):
        choose("h[1:]", table)


def test_files_that_are_sorted_by_name_are_counted_as_people_do():
    names = sorted(f"layers.{i}.weight" for i in range(12))
    table = tabulate([(name, (2, 2), "F32") for name in names], sort=True)
    assert [layer.name for layer in table] == [f"layers.{i}" for i in range(12)]


def test_kinds_come_from_names_and_shapes_or_from_the_module():
    assert [layer.kind for layer in TABLE][:4] == [
        "embedding",
        "convolution",
        "convolution",
        "norm",
    ]
    net = torch.nn.ModuleDict({"odd": torch.nn.LayerNorm(2), "e": torch.nn.Embedding(3, 2)})
    assert {layer.name: layer.kind for layer in layers(net)} == {"odd": "norm", "e": "embedding"}


def test_the_table_of_two_models_has_distances():
    one, two = {"w": torch.tensor([3.0, 0.0])}, {"w": torch.tensor([0.0, 4.0])}
    (row,) = layers(one, two)
    assert (row.distance, row.cosine) == (5.0, 0.0)
    assert "distance" in str(layers(one, two))


@pytest.mark.parametrize(
    ("dtype", "name", "expected"),
    [
        ("F32", "a.weight", Policy.MERGE),
        ("F32", "bn.running_var", Policy.AVERAGE),
        ("I64", "bn.num_batches_tracked", Policy.MAX),
        ("I64", "ids", Policy.EQUAL),
        ("BOOL", "mask", Policy.EQUAL),
    ],
)
def test_what_becomes_of_a_tensor(dtype, name, expected):
    assert policy(TensorEntry(name, (2,), dtype)) is expected


def test_types_that_nobody_defined_a_merge_of_are_refused():
    with pytest.raises(InputError, match="w: tensors of type complex64 are not merged"):
        policy(TensorEntry("w", (2,), "torch.complex64"))


SMALL = tabulate(
    [("a.weight", (3, 2), "F32"), ("a.bias", (3,), "F32"), ("b.weight", (1, 3), "F32")]
)


def plan(weights=None, *, inputs=2, **options):
    return MergePlan.of(SMALL, weights, inputs=inputs, **options).coefficients


def test_every_form_of_a_weight():
    halves = {"a.weight": (0.5, 0.5), "a.bias": (0.5, 0.5), "b.weight": (0.5, 0.5)}
    assert plan() == halves
    assert plan(0.5) == halves
    per_layer = {"a.weight": (0.75, 0.25), "a.bias": (0.75, 0.25), "b.weight": (0.0, 1.0)}
    assert plan([0.25, 1.0]) == per_layer
    assert plan([0.75, 0.0], first=True) == per_layer
    assert plan({"**": 1.0, "a": 0.25}) == per_layer
    assert plan({"a": (0.75, 0.25), "b": 1.0}) == per_layer
    assert plan(Ramp(0.25, 1.0)) == per_layer
    assert plan((0.2, 0.3, 0.5), inputs=3)["b.weight"] == (0.2, 0.3, 0.5)
    assert plan([(0.2, 0.3, 0.5), (1, 0, 0)], inputs=3)["b.weight"] == (1, 0, 0)
    assert plan(0.3, scales=True, inputs=3)["b.weight"] == (0.3, 0.3, 0.3)
    assert plan(scales=True, inputs=3)["b.weight"] == (1.0, 1.0, 1.0)
    assert plan((1, -1, 2), scales=True, inputs=3)["b.weight"] == (1, -1, 2)


def test_tensors_as_weights_keep_their_graph_and_broadcast_by_row():
    share = torch.tensor([0.25, 1.0], requires_grad=True)
    assert plan(share)["b.weight"][1].requires_grad
    rows = torch.tensor([0.1, 0.2, 0.3])
    found = plan({"**": 0.5, "a": rows})
    assert found["a.weight"][1].shape == (3, 1)
    assert found["a.bias"][1].shape == (3,)
    with pytest.raises(InputError, match=re.escape("shape (4,), which does not broadcast to 'a.")):
        plan({"**": 0.5, "a": torch.ones(4)})


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ({"a": 0.5}, {}, "no rule is about 1 of 2 layers (b); put '**' first"),
        ([0.1, 0.2, 0.3], {}, "one for each of 2 layers is expected, found 3"),
        (0.5, {"inputs": 3}, "gives one number for 3 models"),
        ((0.2, 0.3, 0.4), {"inputs": 3}, "shares that sum to 1, found 0.9"),
        ({"**": (0.2, 0.8)}, {"inputs": 3}, "one share for each of 3 models, found 2"),
        (float("nan"), {}, "a finite number, found nan"),
        ({"**": "0.5"}, {}, "expects a number, found '0.5'"),
        ("0.5", {}, "found the text '0.5'"),
        ({}, {}, "at least one rule"),
        ([1.0, 2.0], {"scales": True}, "one a model or one a layer"),
        (0.5, {"buffers": {"a": "mean"}}, "expected one of merge, average, max"),
    ],
)
def test_refused_in_one_line(weights, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        plan(weights, **options)


def test_ramps_go_by_the_blocks_that_a_rule_matches():
    found = MergePlan.of(TABLE, {"**": 0.5, "blocks[4:9]": Ramp(0.0, 1.0)}, inputs=2)
    assert [found.coefficients[f"blocks.{i}.mlp.weight"][1] for i in range(3, 10)] == [
        0.5,
        0.0,
        0.25,
        0.5,
        0.75,
        1.0,
        0.5,
    ]
    assert found.coefficients["blocks.5.norm.weight"][1] == 0.25
    rows = {row.rule: row for row in found.coverage}
    assert (rows["blocks[4:9]"].tensors, rows["blocks[4:9]"].decided) == (15, 15)
    assert rows["**"].decided == rows["**"].tensors - 15
    assert re.search(r"^blocks\[4:9\] +0\.\.1 +15 +15 +blocks\.4\.norm, ", str(found), re.MULTILINE)


def test_schedules():
    assert [Ramp(0, 1, "cosine").at(t) for t in (0.0, 1.0)] == [0.0, 1.0]
    assert Ramp(0, 1, "cosine").at(0.5) == pytest.approx(0.5)
    assert [Jump(0.1, 0.9).at(t) for t in (0.0, 0.49, 0.5, 1.0)] == [0.1, 0.1, 0.9, 0.9]
    knots = Knots({0.25: 1.0, 0.75: 3.0})
    assert [knots.at(t) for t in (0.0, 0.5, 1.0)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "text", ["0.3", "0..1", "cosine:-0.5..1.5", "step:0..1@0.25", "points:0=0,0.5=1,1=0.2"]
)
def test_a_weight_is_read_as_it_is_written(text):
    weight = read_weight(text)
    assert (f"{weight:g}" if isinstance(weight, float) else str(weight)) == text


@pytest.mark.parametrize("text", ["", "half", "0.1,", "points:0", "nan", "0.."])
def test_a_weight_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="expected a number, a ramp"):
        read_weight(text)
