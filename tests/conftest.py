"""Settings of the whole suite."""

import os

from hypothesis import settings

# Machines that run the suite are shared: how long an example takes says nothing here.
settings.register_profile("voxloom", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("voxloom")
