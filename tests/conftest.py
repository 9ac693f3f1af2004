"""What holds for all tests."""

from hypothesis import settings

# a busy machine is not a defect: how long one example takes is nobody's promise
settings.register_profile("house", deadline=None)
settings.load_profile("house")
