"""Settings of the whole suite."""

import multiprocessing
import os
import signal
from multiprocessing import forkserver

import pytest
from hypothesis import settings

from voxloom.loading._processes import _one_thread

# Machines that run the suite are shared: how long an example takes says nothing here.
settings.register_profile("voxloom", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("voxloom")

# A suite that a shell runs in the background ignores Ctrl-C, and what it starts would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def fork_server() -> None:
    """Start the server of workers with torch in it, for tests of many workers that need torch.

    A worker that starts by "spawn", as by default, imports torch for itself: two seconds of work.
    """
    names = ["voxloom.loading._processes", "torch"]
    multiprocessing.get_context("forkserver").set_forkserver_preload(names)
    with _one_thread():
        forkserver.ensure_running()
