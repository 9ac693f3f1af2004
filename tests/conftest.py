"""What holds for all tests."""

import os

import torch
from hypothesis import settings

# Warnings are errors, and torch gives some of them once a process: which test would meet one
# would depend on which came before.
torch.set_warn_always(True)

# A busy machine is not a defect: how long one example takes is nobody's promise. The same examples
# every time: a change is judged by what it changed. HYPOTHESIS_PROFILE=search looks further.
settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))
