"""Leave a process of several ranks without ending its interpreter; run a script that does so.

The threads of gloo outlive `destroy_process_group` where DistributedDataParallel was used (torch
2.13), and one that still drops a tensor while the interpreter ends aborts the process: "terminate
called without an active exception", https://github.com/pytorch/pytorch/issues/190489.
"""

import os
import runpy
import sys


def leave() -> None:
    """End the process now, as one whose work is done."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
    leave()
