import pytest

from counterpoint.errors import InputError
from counterpoint.train import Training


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("optimiser", "adamm", "expected one of adam, adamw, sgd, found 'adamm'; did you mean"),
        ("schedule", "linear", "expected one of one-cycle, cosine, constant"),
        ("precision", "float64", "expected one of float32"),
        ("epochs", 0, "expected a whole number of at least 1, found 0"),
        ("accumulate", True, "expected a whole number of at least 1, found True"),
        ("patience", -1, "at least 0, found -1"),
        ("seed", 2**63, "expected a whole number"),
        ("rate", float("nan"), "expected a number from 0 to 1e"),
        ("momentum", 1.0, "expected a number from 0 to"),
        ("warmup", 1.0, "expected a number from 0 to 0.99"),
        ("weight_decay", -0.1, "expected a number from 0 to inf"),
    ],
)
def test_bad_settings_name_field_rule_and_value(field, value, message):
    with pytest.raises(InputError, match=f"training.{field}: .*{message}"):
        Training(**{field: value})


def test_what_cannot_be_compiled_is_refused_at_once():
    with pytest.raises(InputError, match="accumulate = 1"):
        Training(compile=True, accumulate=2)
    with pytest.raises(InputError, match="float32 and bfloat16"):
        Training(compile=True, precision="float16")
