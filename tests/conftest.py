"""Settings of the whole suite."""

import os
import signal

from hypothesis import settings

# Machines that run the suite are shared: how long an example takes says nothing here.
settings.register_profile("voxloom", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("voxloom")

# A suite that a shell runs in the background ignores Ctrl-C, and what it starts would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
