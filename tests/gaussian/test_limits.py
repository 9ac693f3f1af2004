"""Rounding, large sums, single precision, and work that must not be done twice."""

from dataclasses import replace

import pytest
import torch
from torch import Size

from counterpoint.errors import InputError
from counterpoint.gaussian import (
    Dense,
    Diagonal,
    Factors,
    Kronecker,
    LayerJacobian,
    Sum,
    explicit,
)
from counterpoint.gaussian import _dense as dense_module
from counterpoint.gaussian import _sum as summed
from counterpoint.gaussian import (
    _vectors as vectors,
)
from counterpoint.gaussian._conjugate import conjugate_gradients
from gaussian.cases import LAYER, WIDE, Largest, definite, diagonal, kronecker, normal, outer
from gaussian.conformance import flat

close = torch.testing.assert_close


def test_a_matrix_that_rounding_made_indefinite_is_raised_and_says_so():
    direction = normal(8, 3)
    singular = Dense(direction @ direction.T - 1e-13 * torch.eye(8), LAYER)
    assert 1e-13 < singular.jitter < 1e-11
    assert all((value > 0).all() for value in singular.variances().values())
    assert singular.shift(0.1).jitter == 0.0
    assert Dense(definite(8), LAYER).jitter == 0.0


def test_a_matrix_that_is_indefinite_is_refused_with_its_eigenvalue():
    values = torch.linspace(-0.25, 1.0, 8, dtype=torch.float64)
    with pytest.raises(InputError, match="dense precision.*least eigenvalue of -0.25; add a prior"):
        Dense(values.diag(), LAYER).variances()
    with pytest.raises(InputError, match="least eigenvalue of 0;"):
        Dense(torch.zeros(8, 8), LAYER).variances()


def test_single_precision_keeps_its_type(monkeypatch):
    for wide in (
        kronecker(),
        Dense(definite(8), LAYER),
        diagonal(LAYER),
        kronecker() + diagonal(LAYER),
    ):
        narrow = single(wide)
        vector = {name: normal(*shape).float() for name, shape in LAYER.items()}
        for call in ("mv", "solve", "root_mv", "root_solve"):
            found = getattr(narrow, call)(vector)
            assert found["w"].dtype == torch.float32
        solved = wide.solve({name: value.double() for name, value in vector.items()})
        close(narrow.solve(vector)["w"].double(), solved["w"], rtol=1e-3, atol=1e-4)
        entry = outer()
        entry = LayerJacobian("w", "b", entry.inputs.float(), entry.deltas.float())
        pulled = narrow.pull([entry])
        assert pulled.dtype == torch.float32
        close(pulled.double(), wide.pull([outer()]), rtol=1e-3, atol=1e-3)
        assert narrow.logdet().dtype == torch.float64
        assert narrow.draw(torch.Generator().manual_seed(0), 2)["b"].dtype == torch.float32
        assert narrow.variances()["w"].dtype == torch.float32


def single(precision):
    if isinstance(precision, Sum):
        return Sum(tuple(single(member) for member in precision.members))
    if isinstance(precision, Dense):
        return Dense(precision.matrix.float(), precision.shapes)
    if isinstance(precision, Diagonal):
        return Diagonal({name: value.float() for name, value in precision.values.items()})
    f = precision.factors
    narrow = Factors(f.weight, f.bias, f.shape, f.left.float(), f.right.float(), f.count)
    return Kronecker(narrow, precision.scale, precision.delta)


def test_multiples_and_shifts_decompose_once(monkeypatch):
    calls, real = [], torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda m: calls.append(m.shape) or real(m))
    vector = {name: normal(*shape) for name, shape in LAYER.items()}
    for precision, expected in ((kronecker(), 2), (Dense(definite(8), LAYER), 1)):
        calls.clear()
        precision.mv(vector)
        assert not calls
        for delta in (0.1, 0.2):
            shifted = precision.scaled(3.0).shift(delta)
            shifted.solve(vector)
            shifted.logdet()
            shifted.variances()
            shifted.pull([outer()])
        assert len(calls) == expected


def test_a_large_sum_solves_pulls_and_draws_without_a_dense_matrix(monkeypatch):
    precision = kronecker() + kronecker(seed=5) + diagonal(LAYER)
    dense = precision.dense()
    for room in (vectors, summed):
        monkeypatch.setattr(room, "FORMED_LIMIT", 7)
    full = explicit([outer()], LAYER)
    wide = torch.cat([full["w"].flatten(2), full["b"]], 2)
    close(precision.pull([outer()]), wide @ dense.inverse() @ wide.mT)
    assert precision.draw(torch.Generator().manual_seed(0), 2)["w"].shape == (2, 2, 3)
    assert 0 < precision.least() <= float(torch.linalg.eigvalsh(dense)[0])
    for call in (precision.logdet, precision.variances, lambda: precision.marginal(["w"])):
        with pytest.raises(InputError, match="dense matrix of at most 7 weights, found 8"):
            call()


def test_a_sum_that_does_not_converge_says_its_residual(monkeypatch):
    monkeypatch.setattr(summed, "_ITERATIONS", 1)
    precision = kronecker() + kronecker(seed=5) + diagonal(LAYER)
    vector = {name: normal(*shape) for name, shape in LAYER.items()}
    with pytest.raises(
        InputError, match=r"1e-10 is expected within 1 iterations, found 0\.\d+ after 1"
    ):
        precision.solve(vector)


ROUGH = torch.logspace(-2, 2, 360, dtype=torch.float64).view(12, 30).T.contiguous()
SMOOTH = 0.01 + 0.01 * normal(30, 12).square()
PAIRS = {
    "a rough diagonal": lambda: (wide_layer(30, 12), Diagonal({"w": ROUGH}), 0.9),
    "a smooth diagonal": lambda: (wide_layer(30, 12, delta=10.0), Diagonal({"w": SMOOTH}), 0.4),
    "a layer like it": lambda: (
        wide_layer(30, 12, delta=1e-3),
        wide_layer(30, 12, delta=1e-3, noise=0.1),
        0.03,
    ),
    "a layer unlike it": lambda: (
        wide_layer(30, 12, delta=0.1),
        wide_layer(30, 12, delta=0.1, seed=3, noise=0.1),
        0.8,
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_preconditioner_that_helps_most_is_taken(pair):
    *members, share = PAIRS[pair]()
    precision = Sum(tuple(members))
    target = normal(30 * 12)
    choices = [summed._operator(choice, precision.shapes) for choice in precision._candidates()]
    none, taken, *others = [
        conjugate_gradients(precision._product, operator, target, tolerance=1e-10, most=12).residual
        for operator in (lambda v: v, precision._precondition, *choices)
    ]
    assert taken <= 3 * min(others)
    assert taken < share * none


def wide_layer(outputs, inputs, seed=0, noise=0.0, delta=0.0):
    """Factors whose eigenvalues fall off as those of real layers do."""
    sides = []
    for size in (outputs, inputs):
        basis = torch.linalg.qr(normal(size, size, seed=seed))[0]
        falling = torch.arange(1, size + 1, dtype=torch.float64) ** -2.0
        sides.append((basis * falling @ basis.T + noise * definite(size, 9) / size)[None])
    count = torch.tensor(1.0, dtype=torch.float64)
    return Kronecker(Factors("w", None, Size([outputs, inputs]), *sides, count), 100.0, delta)


def test_one_layer_is_pulled_without_a_jacobian():
    outputs, inputs, rows = 4, 50, 40
    shapes = {"w": Size([outputs, inputs]), "b": Size([outputs])}
    entry = LayerJacobian("w", "b", normal(rows, 1, 1, inputs), normal(rows, 30, 1, 1, outputs))
    total = outputs * (inputs + 1)
    dense = Dense(definite(total), shapes)
    dense.pull([entry])  # the root is made
    with Largest() as largest:
        dense.pull([entry])
    assert largest.numbers < rows * 30 * total


@pytest.mark.parametrize("columns", [1, 2, 5])
@pytest.mark.parametrize("bias", [None, "b"])
@pytest.mark.parametrize("settled", [0.0, 1.0])
def test_one_layer_is_pulled_from_pairs_or_from_a_root(columns, bias, settled, monkeypatch):
    monkeypatch.setattr(dense_module, "_SETTLED", settled)
    monkeypatch.setattr(dense_module, "_TOGETHER", 3)
    entry = replace(outer(columns=columns, rows=9), bias=bias)
    shapes = {name: LAYER[name] for name in entry.names}
    dense = Dense(definite(sum(shape.numel() for shape in shapes.values())), shapes)
    full = torch.cat([value.flatten(2) for value in explicit([entry], shapes).values()], 2)
    close(dense.pull([entry]), full @ dense.dense().inverse() @ full.mT)
    nothing = replace(entry, inputs=entry.inputs[:0], deltas=entry.deltas[:0])
    assert dense.pull([nothing]).shape == (0, columns, columns)


def test_a_small_variance_beside_large_ones_is_not_rounded_away():
    basis = torch.linalg.qr(normal(20, 20))[0]
    values = torch.logspace(-13, 0, 20, dtype=torch.float64)
    dense = Dense(basis * values @ basis.T, {"w": Size([1, 20])})
    known = basis[:, -1].expand(20, 1, 1, 20)
    entry = LayerJacobian("w", None, known, torch.ones(20, 1, 1, 1, 1, dtype=torch.float64))
    close(dense.pull([entry]).flatten(), torch.ones(20, dtype=torch.float64))


def test_a_kronecker_pull_forms_no_jacobian():
    layer = wide_layer(60, 20, delta=0.1)
    entry = LayerJacobian("w", None, normal(30, 1, 1, 20), normal(30, 5, 1, 1, 60))
    layer.pull([entry])
    with Largest() as largest:
        layer.pull([entry])
    assert largest.numbers <= 30 * 5 * 60


def test_widely_different_shapes_keep_their_places():
    shapes = {"zero-d": Size([]), "empty": Size([0, 3]), **WIDE}
    vector = {name: normal(*shape) for name, shape in shapes.items()}
    precision = Dense(definite(23), shapes)
    found = precision.mv(vector)
    assert {name: value.shape for name, value in found.items()} == shapes
    close(flat(found, shapes), definite(23) @ flat(vector, shapes))
    assert precision.draw(torch.Generator(), 3)["zero-d"].shape == (3,)
