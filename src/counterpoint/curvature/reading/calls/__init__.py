"""Operations that use weights, recorded as they happen: what each adds to a Jacobian.

One file an operation. A `Call` keeps what it needs (its input, detached) and turns the deltas at
its output into factored Jacobians of the weights it used; `read` makes one from the arguments of
an operation, or says that it cannot. Reading operations, not modules, is what makes tied and
reused modules, bare parameters and padded convolutions ordinary.
"""

from counterpoint.curvature.reading.calls._call import Arguments, Call, Layout
from counterpoint.curvature.reading.calls._read import read

__all__ = ["Arguments", "Call", "Layout", "read"]
