"""Run scikit-learn's estimator checks on one estimator, without the run-time type checker.

The checks pass values of every type on purpose; the checker of the tests would refuse them first.
Prints the checks that failed although they were not expected to, and exits with their number.
"""

import sys
import warnings

from sklearn.utils.estimator_checks import check_estimator

from counterpoint.estimators import LunaRegressor, NeuralLinearRegressor
from counterpoint.table import TableClassifier, TableRegressor

ROWS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "rows are visited in random order, in batches: a row of weight two is one step's row"
        " twice, not two steps' row once; and folds divide rows, not weights"
    )
}
FOLDS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "the rows that the noise comes from are left out whole, copies of a row each by itself: a"
        " row of weight two is left out or not, of a row and its copy one may be"
    )
}
DIGITS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row of weight two and the row twice are summed in another order, in single precision;"
        " the check asks for seven digits"
    )
}
ESTIMATORS = {
    "neural-linear": (NeuralLinearRegressor(epochs=30, random_state=0), FOLDS),
    "neural-linear-evidence": (
        NeuralLinearRegressor(epochs=30, noise="evidence", random_state=0),
        {},
    ),
    "luna": (LunaRegressor(epochs=8, heads=4, batch_size=256, random_state=0), FOLDS),
    "luna-evidence": (
        LunaRegressor(epochs=8, heads=4, batch_size=256, noise="evidence", random_state=0),
        DIGITS,
    ),
    "regressor": (TableRegressor(epochs=5, members=1, width=32, random_state=0), ROWS),
    "classifier": (TableClassifier(epochs=5, members=1, width=16, random_state=0), ROWS),
}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    estimator, expected = ESTIMATORS[sys.argv[1]]
    results = check_estimator(
        estimator, expected_failed_checks=expected, on_fail=None, on_skip=None
    )
    failed = [r for r in results if r["status"] == "failed"]
    for result in failed:
        print(result["check_name"], repr(result["exception"])[:500])
    print(f"{len(results)} checks, {len(failed)} failed")
    sys.exit(len(failed))
