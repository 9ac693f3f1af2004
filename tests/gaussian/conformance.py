"""What every precision structure must do, against its own dense form in float64."""

import json
from dataclasses import replace

import pytest
import torch
from torch import Size

from counterpoint.errors import InputError
from counterpoint.gaussian import (
    Diagonal,
    FullJacobian,
    Gaussian,
    LookupJacobian,
    Quadratic,
    explicit,
    pool,
    precision_from,
)
from counterpoint.gaussian import (
    _jacobian as jacobian,
)
from counterpoint.gaussian._vectors import padded
from gaussian.cases import lookup, normal, outer, rows, thin

close = torch.testing.assert_close


def flat(vector, shapes):
    return torch.cat([vector[name].reshape(-1) for name in shapes])


def unflat(vector, shapes):
    parts = vector.split([shape.numel() for shape in shapes.values()])
    return {n: part.reshape(shape) for (n, shape), part in zip(shapes.items(), parts, strict=True)}


def matrix_of(call, shapes):
    """Columns: what `call` makes of unit vectors."""
    total = sum(shape.numel() for shape in shapes.values())
    eye = torch.eye(total, dtype=torch.float64)
    return torch.stack([flat(call(unflat(unit, shapes)), shapes) for unit in eye], 1)


def tied(groups):
    """A weight that is also a table: both uses add before anything is squared."""
    index = torch.tensor([[0, 1, 1], [1, -1, 0], [1, 1, 1], [0, 0, 1]])
    return [outer(groups=groups), LookupJacobian("w", index, normal(4, 3, 3, 3, seed=5))]


JACOBIANS = {
    f"outer, {positions} positions, {weight}, {bias}": (
        lambda groups, p=positions, w=weight, b=bias: [outer(w, b, groups=groups, positions=p)]
    )
    for positions in (1, 3)
    for weight, bias in [("w", "b"), ("w", None), (None, "b")]
} | {
    "reused": lambda groups: [outer(groups=groups), outer(groups=groups, positions=2, seed=6)],
    "tied": tied,
    "explicit": lambda groups: [
        FullJacobian("w", normal(4, 3, 2 * groups, 3)),
        outer(groups=groups),
    ],
    "lookup and rows": lambda groups: [lookup(), rows(), outer(groups=groups)],
    "lookup alone": lambda groups: [lookup()],
    "many columns": lambda groups: [outer(groups=groups, columns=5)],
    "one column": lambda groups: [outer(groups=groups, columns=1)],
    "one row": lambda groups: [outer(groups=groups, rows=1)],
    "a number": lambda groups: [FullJacobian("gain", normal(4, 3, seed=3)), outer(groups=groups)],
    "one output and one input": lambda groups: [*thin(), outer(groups=groups)],
    "no row": lambda groups: [outer(groups=groups, rows=0)],
}


class Conformance:
    """Inherit, and say in `make` which structure is meant; the rest is said to be so."""

    groups = 1
    """Of the weight "w"."""
    leading = True
    """Whether vectors may have leading dimensions."""
    whole_layers = False
    """Whether the marginal of a part of a layer is refused."""
    draws = 20_000

    def make(self):
        raise NotImplementedError

    @pytest.fixture
    def precision(self):
        return self.make()

    @pytest.fixture
    def dense(self, precision):
        return precision.dense()

    @pytest.fixture
    def vector(self, precision):
        return {name: normal(*shape, seed=11) for name, shape in precision.shapes.items()}

    def test_shapes_name_the_flat_order(self, precision, dense):
        assert dense.shape == (precision.total, precision.total)
        assert all(isinstance(shape, Size) for shape in precision.shapes.values())
        close(dense, dense.T)
        assert precision.like.dtype == torch.float64

    def test_goes_to_another_device_whole(self, precision, vector):
        whole = Quadratic(vector, precision, vector, normal(1, seed=3)[0])
        there = whole.to(torch.device("meta"))
        assert {value.device.type for value in there.tensors().values()} == {"meta"}
        assert there.shapes == whole.shapes
        assert type(there.precision) is type(precision)

    def test_products(self, precision, dense, vector):
        found = precision.mv(vector)
        assert {name: v.shape for name, v in found.items()} == precision.shapes
        close(flat(found, precision.shapes), dense @ flat(vector, precision.shapes))

    def test_solves(self, precision, dense, vector):
        expected = torch.linalg.solve(dense, flat(vector, precision.shapes))
        close(flat(precision.solve(vector), precision.shapes), expected, rtol=1e-7, atol=1e-9)

    def test_roots(self, precision, dense):
        root = matrix_of(precision.root_mv, precision.shapes)
        back = matrix_of(precision.root_solve, precision.shapes)
        eye = torch.eye(precision.total, dtype=torch.float64)
        close(root @ root.T, dense)
        close(back @ back.T, dense.inverse())
        close(root.T @ back, eye, rtol=0, atol=1e-9)

    def test_leading_dimensions_are_carried_along(self, precision):
        if not self.leading:
            pytest.skip("conjugate gradients solve for one vector")
        many = {name: normal(2, 3, *shape) for name, shape in precision.shapes.items()}
        one = {name: value[1, 2] for name, value in many.items()}
        for call in (precision.mv, precision.solve, precision.root_mv, precision.root_solve):
            for name, value in call(many).items():
                close(value[1, 2], call(one)[name])

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
    def test_vectors_of_another_type_come_back_in_it(self, precision, vector, dtype):
        rough = {name: value.to(dtype) for name, value in vector.items()}
        exact = {name: value.double() for name, value in rough.items()}
        for call in (precision.mv, precision.solve, precision.root_mv, precision.root_solve):
            wanted = call(exact)
            for name, value in call(rough).items():
                # only the answer is rounded: all before is in the wider type
                assert value.dtype == dtype
                close(value, wanted[name].to(dtype))
        jacobian = [outer(groups=self.groups)]
        small = [replace(e, inputs=e.inputs.float(), deltas=e.deltas.float()) for e in jacobian]
        found = precision.pull(small)
        assert found.dtype == torch.float32
        close(found, precision.pull(jacobian).float(), rtol=1e-4, atol=1e-4)

    def test_the_energy_of_weights_of_another_type(self, precision, vector):
        mean = {name: value.bfloat16() for name, value in vector.items()}
        gaussian = Gaussian(mean, precision)
        weights = {n: (v + 1).bfloat16().requires_grad_() for n, v in vector.items()}
        energy = gaussian.energy(weights)
        assert energy.dtype == torch.float32
        apart = {name: (weights[name] - mean[name]).detach().double() for name in mean}
        wanted = flat(apart, precision.shapes) @ flat(precision.mv(apart), precision.shapes) / 2
        close(energy.detach(), wanted.float(), rtol=2e-2, atol=1e-3)
        energy.backward()
        into = [torch.zeros_like(weights[name]) for name in precision.shapes]
        order = [weights[name].detach() for name in precision.shapes]
        gaussian.quadratic.add_gradient(order, into, 1.0)
        for name, gradient in zip(precision.shapes, into, strict=True):
            assert weights[name].grad.dtype == torch.bfloat16
            close(gradient, weights[name].grad)
        both = gaussian * Gaussian(weights, precision)
        middle = {
            name: (mean[name].double() + weights[name].detach().double()) / 2 for name in mean
        }
        for name, value in both.mean.items():
            assert value.dtype == torch.bfloat16
            close(value.double(), middle[name], rtol=2e-2, atol=2e-2)

    def test_new_and_longer_weights_are_free(self, precision, vector):
        shapes = self.longer(precision)
        wide = precision.widened({**shapes, "new": Size([2]), "scalar": Size([])})
        assert wide.shapes == {**shapes, "new": Size([2]), "scalar": Size([])}
        full = {name: normal(*shape, seed=12) for name, shape in wide.shapes.items()}
        corner = {n: full[n][tuple(map(slice, s))] for n, s in precision.shapes.items()}
        wanted = padded(precision.mv(corner), wide.shapes)
        for name, value in wide.mv(full).items():
            close(value, wanted[name])
        again = precision.widened(precision.shapes)
        close(again.dense(), precision.dense())

    def test_in_float64_it_is_the_same_matrix(self, precision, dense):
        close(precision.double().dense().double(), dense.double())
        assert precision.double().shapes == precision.shapes

    def test_fewer_examples_say_as_much_less(self, precision, dense):
        close(precision.fewer(0.25).dense(), 0.25 * dense)
        # what is pooled with it is weighed by the examples that are left
        joined = pool(precision.fewer(0.5), precision.fewer(0.5))
        place = self.places(joined, precision.shapes)
        close(joined.dense()[place][:, place], dense)

    def test_draws_have_the_inverse_as_covariance(self, precision, dense):
        generator = torch.Generator().manual_seed(3)
        drawn = precision.draw(generator, self.draws)
        assert all(drawn[n].shape == (self.draws, *s) for n, s in precision.shapes.items())
        wide = torch.cat([drawn[n].reshape(self.draws, -1) for n in precision.shapes], 1)
        white = wide @ torch.linalg.cholesky(dense)
        eye = torch.eye(precision.total, dtype=torch.float64)
        error = (2 / self.draws) ** 0.5
        assert (white.T @ white / self.draws - eye).abs().max() < 5 * error
        assert white.mean(0).abs().max() < 5 * error
        one, two = (precision.draw(torch.Generator().manual_seed(3), 2) for _ in range(2))
        assert all(torch.equal(one[name], two[name]) for name in one)

    def test_draws_leave_the_global_generator_alone(self, precision):
        before = torch.get_rng_state()
        precision.draw(torch.Generator().manual_seed(1), 2)
        assert torch.equal(before, torch.get_rng_state())

    def test_diagonal_and_variances(self, precision, dense):
        close(flat(precision.diagonal(), precision.shapes), dense.diagonal())
        found = flat(precision.variances(), precision.shapes)
        close(found, dense.inverse().diagonal())
        assert (found > 0).all()

    def test_least_eigenvalue(self, precision, dense):
        assert precision.least() == pytest.approx(float(torch.linalg.eigvalsh(dense)[0]))

    def test_logdet_and_its_derivatives(self, precision, dense):
        close(precision.logdet(), dense.logdet())
        assert precision.logdet().dtype == torch.float64
        names = list(precision.shapes)

        def of_numbers(scale, by):
            return precision.scaled(scale).shift(by).logdet()

        def of_names(scale, *by):
            return precision.shift(dict(zip(names, by, strict=True))).scaled(scale).logdet()

        numbers = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.7, 0.4)]
        assert torch.autograd.gradcheck(of_numbers, numbers)
        # twice on one object: nothing that is cached holds a graph
        shifted = precision.shift(numbers[1])
        shifted.solve({n: torch.ones(s, dtype=torch.float64) for n, s in precision.shapes.items()})
        shifted.logdet().backward()
        shifted.logdet().backward()
        close(numbers[1].grad, 2 * (dense + 0.4 * torch.eye(len(dense))).inverse().trace())
        each = [numbers[0], *(torch.rand(precision.shapes[n]).double() + 0.1 for n in names)]
        assert torch.autograd.gradcheck(of_names, [value.requires_grad_() for value in each])

    def test_multiples_and_shifts(self, precision, dense, vector):
        eye = torch.eye(precision.total, dtype=torch.float64)
        close(precision.scaled(2.5).dense(), 2.5 * dense)
        close(precision.shift(0.3).scaled(2.0).shift(1).dense(), 2 * dense + 1.6 * eye)
        layer = {name: 0.5 + place for place, name in enumerate(precision.shapes)}
        full = {name: torch.full(s, layer[name]) for name, s in precision.shapes.items()}
        close(precision.shift(layer).dense(), dense + flat(full, precision.shapes).double().diag())
        equal = dict.fromkeys(precision.shapes, 0.3)
        assert type(precision.shift(equal)) is type(precision)
        each = {name: value.square() for name, value in vector.items()}
        shifted = precision.shift(each)
        expected = dense + flat(each, precision.shapes).diag()
        close(shifted.dense(), expected)
        solved = torch.linalg.solve(expected, flat(vector, precision.shapes))
        close(flat(shifted.solve(vector), precision.shapes), solved, rtol=1e-7, atol=1e-9)
        some = next(iter(precision.shapes))
        rest = {n: s for n, s in precision.shapes.items() if n != some}
        alone = flat(
            {some: each[some], **{n: torch.zeros(s) for n, s in rest.items()}}, precision.shapes
        )
        close(precision.shift({some: each[some]}).dense(), dense + alone.diag())

    def test_shifts_that_do_not_fit_are_refused(self, precision):
        with pytest.raises(InputError, match="shift: 'wx' is not a parameter here"):
            precision.shift({"wx": 1.0})
        with pytest.raises(InputError, match=r"'w' must broadcast to shape \(.*found \(7,\)"):
            precision.shift({"w": torch.ones(7, dtype=torch.float64)})

    @pytest.mark.parametrize("name", JACOBIANS)
    def test_pulls(self, precision, dense, name, monkeypatch):
        entries = JACOBIANS[name](self.groups)
        full = explicit(entries, precision.shapes)
        wide = torch.cat(
            [v.reshape(*v.shape[:2], precision.shapes[n].numel()) for n, v in full.items()], 2
        )
        expected = wide @ dense.inverse() @ wide.mT
        found = precision.pull(entries)
        close(found, expected)
        monkeypatch.setattr(jacobian, "NUMBERS", 1)
        close(self.make().pull(entries), expected)
        if found.numel():
            assert torch.linalg.eigvalsh(found).min() >= -1e-12 * found.abs().max()

    def test_principal_blocks(self, precision, dense):
        for names in self.subsets(precision):
            part = precision.restrict(names)
            place = self.places(precision, part.shapes)
            assert sorted(part.shapes) == sorted(names)
            close(part.dense(), dense[place][:, place])

    def test_marginals(self, precision, dense):
        whole = [list(precision.shapes)]
        for names in whole if self.whole_layers else self.subsets(precision):
            part = precision.marginal(names)
            place = self.places(precision, part.shapes)
            assert sorted(part.shapes) == sorted(names)
            close(part.dense(), dense.inverse()[place][:, place].inverse())

    def test_part_of_a_layer_has_no_marginal(self, precision):
        if not self.whole_layers:
            pytest.skip("any part has one")
        with pytest.raises(InputError, match=r"only as a whole \(.*Dense\(precision.dense"):
            precision.marginal(["b"])

    def test_names_that_are_not_there_are_refused(self, precision):
        for call in (precision.restrict, precision.marginal):
            with pytest.raises(InputError, match="'wx' is not a parameter here"):
                call(["wx"])
            with pytest.raises(InputError, match="found none"):
                call([])

    def test_round_trip(self, precision, dense):
        spec = json.loads(json.dumps(precision.spec()))
        again = precision_from(spec, precision.tensors())
        assert type(again) is type(precision)
        assert again.shapes == precision.shapes
        assert list(again.shapes) == list(precision.shapes)
        assert torch.equal(again.dense(), dense)
        damaged = {name: value * torch.nan for name, value in precision.tensors().items()}
        with pytest.raises(InputError, match="must be floating and finite"):
            precision_from(spec, damaged)
        with pytest.raises(InputError, match="no tensor"):
            precision_from(spec, {})

    def test_what_is_not_positive_definite_is_not_inverted(self, precision, vector):
        negative = precision.shift(-1e3)
        for call in (
            lambda: negative.solve(vector),
            lambda: negative.root_solve(vector),
            negative.logdet,
            negative.variances,
            lambda: negative.pull([outer(groups=self.groups)]),
            lambda: negative.draw(torch.Generator(), 1),
        ):
            with pytest.raises(InputError, match=r"positive definite.*eigenvalue of -"):
                call()

    def test_adding_a_diagonal(self, precision, dense):
        by = {name: normal(*shape).square() for name, shape in reversed(precision.shapes.items())}
        for total in (precision + Diagonal(by), Diagonal(by) + precision):
            place = self.places(total, precision.shapes)
            close(total.dense()[place][:, place], dense + flat(by, precision.shapes).diag())

    def longer(self, precision):
        """Shapes in which the first dimension has grown, where there is one."""
        return {
            n: Size([s[0] + 1, *s[1:]]) if s and self.groups == 1 else s
            for n, s in precision.shapes.items()
        }

    def subsets(self, precision):
        names = list(precision.shapes)
        return [names, names[:1], names[1:2], names[::-1][:2]]

    def places(self, precision, names):
        total = torch.arange(precision.total)
        return torch.cat([unflat(total, precision.shapes)[name].reshape(-1) for name in names])
