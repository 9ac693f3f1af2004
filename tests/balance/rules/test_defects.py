"""What other libraries' rules were found to get wrong, and what ours say to bad input."""

import pytest
import torch

from balance.rules import cases
from balance.rules.cases import given, rows, step_of, weights_of
from balance.rules.table import TABLE
from counterpoint.balance.rules import (
    RULES,
    AlignedMtl,
    Alternate,
    CaGrad,
    Config,
    Constrained,
    Constraint,
    DbMtl,
    Dwa,
    Famo,
    ImtlG,
    Magnitude,
    Mgda,
    NashMtl,
    PcGrad,
    Protect,
    Protected,
    Relobralo,
    Stch,
    Uncertainty,
    UpGrad,
    rule,
)
from counterpoint.errors import InputError

close = torch.testing.assert_close


@pytest.mark.parametrize("ratio", [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-8, 1e-20])
@pytest.mark.parametrize("made", [UpGrad(), ImtlG(), Config(), Mgda(), NashMtl(), PcGrad()])
def test_a_small_gradient_is_not_harmed_by_a_large_one(made, ratio):
    jacobian = rows([1.0, 0.0], [-0.8, 0.6]) * rows([1.0], [ratio])
    d = step_of(made, jacobian)
    assert (cases.unit(jacobian) @ d / d.norm()).min() >= -1e-12


@pytest.mark.parametrize("size", [1e-25, 1e-4, 1e-3, 1e3, 1e25])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_small_gradients_are_not_nothing(row, size):
    if row.rule.needs != "gram" or row.degree is None:
        return
    jacobian = rows([1.0, 0.2, 0.0], [-0.3, 1.0, 0.1], [0.1, -0.5, 0.8])
    losses = rows(1.0, 2.0, 0.5)
    plain = step_of(row.rule, jacobian, losses=losses)
    scaled = step_of(row.rule, size * jacobian, losses=size * losses)
    close(scaled / size**row.degree, plain, rtol=1e-8, atol=1e-10)


def test_cagrad_and_aligned_mtl_of_a_small_gradient_are_not_zero():
    for made in (CaGrad(), AlignedMtl()):
        assert step_of(made, 1e-20 * rows([1.0, 0.0], [-0.5, 1.0])).norm() > 1e-22


def test_mgda_is_the_optimum_with_norms_over_two_decades():
    for seed in range(20):
        jacobian = cases.normal(seed, 8, 20) * torch.logspace(-1, 1, 8).double()[:, None]
        d = step_of(Mgda(), jacobian)
        # d is shortest if and only if no gradient lies nearer to 0 along it.
        assert (jacobian @ d).min() >= (d @ d) * (1 - 1e-9)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_what_is_not_finite_comes_out_as_nan_and_raises_nothing(row, bad):
    if row.rule.waits:
        return
    losses = rows(1.0, bad, 2.0)
    found = weights_of(row.rule, torch.eye(3).double(), losses=losses)
    assert found.isnan().any()
    if row.rule.needs == "norms" and bad > 0:
        jacobian = torch.eye(3).double()
        jacobian[1, 1] = bad
        assert weights_of(row.rule, jacobian).isnan().any()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_gradient_that_is_zero_keeps_its_preference(row):
    if row.rule.needs != "norms":
        return
    state, wanted = row.rule.start(3), rows(1.0, 2.0, 3.0) / 2
    for jacobian in (torch.eye(3).double(), torch.eye(3).double() * rows([1.0], [0.0], [2.0])):
        known = given(jacobian, losses=rows(1.0, 3.0, 2.0), preference=wanted)
        weights, state = row.rule.weights(known, state)
    assert weights[1] == wanted[1]
    assert weights.isfinite().all()
    nothing = row.rule.weights(given(torch.zeros(3, 3).double(), preference=wanted), state)
    close(nothing[0], wanted)
    assert all(tensor.isfinite().all() for tensor in nothing[1].values())


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_negative_losses_have_an_answer(row):
    state = row.rule.start(3)
    for turn in range(6):
        losses = rows(2.0 - turn, 0.0, -5.0 - turn**3)
        weights, state = row.rule.weights(given(torch.eye(3).double(), losses=losses), state)
        assert weights.isfinite().all()
        assert all(tensor.isfinite().all() for tensor in state.values())


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_resumed_run_is_the_same_run(row):
    def run(turns, state, generator):
        found = []
        for turn in turns:
            known = given(cases.normal(turn, 4, 5), losses=cases.normal(turn + 50, 4).abs())
            object.__setattr__(known, "generator", generator)
            weights, state = row.rule.weights(known, state)
            found.append(weights)
        return found, state

    generator = torch.Generator().manual_seed(3)
    whole, _ = run(range(6), row.rule.start(4), generator)
    generator = torch.Generator().manual_seed(3)
    first, state = run(range(3), row.rule.start(4), generator)
    resumed = torch.Generator()
    resumed.set_state(generator.get_state())
    copy = {name: tensor.clone() for name, tensor in state.items()}
    second, _ = run(range(3, 6), copy, resumed)
    close(torch.stack(first + second), torch.stack(whole), rtol=0, atol=0)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_global_random_state_is_left_alone(row):
    before = torch.get_rng_state()
    weights_of(row.rule, cases.normal(0, 4, 5))
    assert torch.equal(torch.get_rng_state(), before)


def test_nearly_singular_angles_end():
    for seed in range(3 * cases.LOOKS):
        for noise in (0.0, 1e-16, 1e-12, 1e-8, 1e-4):
            jacobian = cases.normal(seed, 1, 6) + noise * cases.normal(seed + 1, 12, 6)
            jacobian *= torch.tensor([1.0, -1.0]).repeat(6)[:, None]
            for row in TABLE:
                if row.rule.waits:
                    assert weights_of(row.rule, jacobian).isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rule("upgrd"), "found 'upgrd'; did you mean 'upgrad'?"),
        (lambda: rule("UPGrd"), "found 'UPGrd'; did you mean 'upgrad'?"),
        (lambda: rule("protect"), "rule 'protect': must be told which goals"),
        (lambda: rule("Constraint"), "rule 'constraint': must be told which goals"),
        (lambda: Constraint((), ()), "needs goals of different names and a bound for each"),
        (
            lambda: Constraint(("a", "b"), 1.0),
            "needs goals of different names and a bound for each",
        ),
        (lambda: Constraint(("a", "a"), (1.0, 2.0)), "needs goals of different names"),
        (lambda: Constraint("a", float("nan")), "rule 'constraint': at_most: must be a finite"),
        (lambda: Constraint("a", 1.0, rate=-1.0), "rule 'constraint': rate"),
        (lambda: Constraint("a", 1.0, penalty=-1.0), "rule 'constraint': penalty"),
        (lambda: Constraint("a", 1.0, decay=1.0), "rule 'constraint': decay"),
        (lambda: Constraint("byte", 1.0).bind(("error", "bytes")), "did you mean 'bytes'"),
        (lambda: Protect(()), "rule 'protect': name at least one goal"),
        (lambda: Protect(("memry",)).bind(("fit", "memory")), "did you mean 'memory'"),
        (lambda: CaGrad(1.0), "rule 'cagrad': c: must be at least 0 and below 1, found 1.0"),
        (lambda: Magnitude(decay=1.0), "rule 'magnitude': decay"),
        (lambda: Magnitude(power=float("nan")), "rule 'magnitude': power"),
        (lambda: Alternate("largest"), "rule 'alternate': pick: expected one of"),
        (lambda: NashMtl(0.0), "rule 'nash-mtl': longest"),
        (lambda: Stch(smoothness=0.0), "rule 'stch': smoothness"),
        (lambda: Dwa(window=0), "rule 'dwa': window"),
        (lambda: Uncertainty(rate=-1.0), "rule 'uncertainty': rate"),
        (lambda: Famo(rate=float("inf")), "rule 'famo': rate"),
        (lambda: DbMtl(decay=-0.1), "rule 'db-mtl': decay"),
        (lambda: Relobralo(keep=2.0), "rule 'relobralo': keep"),
    ],
)
def test_bad_values_are_refused_in_one_line(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_and_rules_are_rules():
    assert isinstance(rule("impartial"), Magnitude)
    chosen = CaGrad(0.3)
    assert rule(chosen) is chosen
    assert all(made().start(2) is not None for made in RULES.values())


def test_protect_is_bound_to_a_step():
    bound = Protect(("memory", "older")).bind(("fit", "memory"), absent=("older",))
    assert bound == Protected((1,))
    with pytest.raises(InputError, match="call bind"):
        Protect(("memory",)).weights(given(torch.eye(2).double()), {})


def test_a_constraint_is_bound_to_a_step():
    told = Constraint(("bytes", "moments"), at_most=(300.0, 0.1), rate=0.5)
    assert told.bind(("moments", "error"), absent=("bytes",)) == Constrained((0,), (0.1,), rate=0.5)
    with pytest.raises(InputError, match="call bind"):
        told.weights(given(torch.eye(2).double()), {})


def test_alternate_draws_by_preference_and_by_norm():
    jacobian, wanted = torch.eye(2).double() * rows([1.0], [3.0]), rows(1.0, 1.0)
    for made, share in ((Alternate(), 0.5), (Alternate("magnitude"), 0.75)):
        known = given(jacobian, preference=wanted)
        drawn = torch.stack([made.weights(known, {})[0] for _ in range(2000)])
        assert set(drawn.flatten().tolist()) == {0.0, 2.0}
        assert abs(drawn[:, 1].mean() / 2 - share) < 0.04
    assert (Alternate().needs, Alternate("magnitude").needs) == ("losses", "norms")


@pytest.mark.parametrize("name", ["PCGrad", "UPGrad", "ConFIG", "Nash-MTL", "FAMO"])
def test_a_rule_is_found_as_its_paper_writes_it(name):
    assert type(rule(name)).__name__.lower() == name.lower().replace("-", "")
