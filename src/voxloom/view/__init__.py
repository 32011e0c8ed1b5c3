"""Pictures: where patches come from, what is in them, and how the queue fares.

Every function returns a `matplotlib.figure.Figure` that belongs to the caller:
``plot_subject(subject).savefig("subject.png")``. Nothing is kept by pyplot, so nothing leaks and
no display is needed. matplotlib comes with ``pip install 'voxloom[plot]'``.

`image.plot()`, `subject.plot()`, `sampler.plot(subject)` and `queue.plot()` call these functions.

`monitor` shows a running queue on a page, `write_queue_page` and `serve_queue_page` how queues
work; `log_jsonl` and `log_tensorboard` write figures down. These need nothing else installed.
"""

from voxloom.view._batch import plot_batch
from voxloom.view._canonical import AXIAL, CORONAL, SAGITTAL, Canonical, Plane
from voxloom.view._centres import plot_centres
from voxloom.view._comparison import plot_comparison
from voxloom.view._curve import plot_curve
from voxloom.view._html import describe_image, describe_queue, describe_subject
from voxloom.view._image import plot_image
from voxloom.view._log import QueueLog, ScalarWriter, log_jsonl, log_tensorboard
from voxloom.view._monitor import Monitor, monitor
from voxloom.view._page import write_queue_page
from voxloom.view._queue import plot_queue
from voxloom.view._sampler import plot_sampler
from voxloom.view._server import PageServer, serve_queue_page
from voxloom.view._subject import plot_subject
from voxloom.view._timeline import Moment, QueueTimeline, plot_timeline
from voxloom.view._volumes import serve_volumes

__all__ = [
    "AXIAL",
    "CORONAL",
    "SAGITTAL",
    "Canonical",
    "Moment",
    "Monitor",
    "PageServer",
    "Plane",
    "QueueLog",
    "QueueTimeline",
    "ScalarWriter",
    "describe_image",
    "describe_queue",
    "describe_subject",
    "log_jsonl",
    "log_tensorboard",
    "monitor",
    "plot_batch",
    "plot_centres",
    "plot_comparison",
    "plot_curve",
    "plot_image",
    "plot_queue",
    "plot_sampler",
    "plot_subject",
    "plot_timeline",
    "serve_queue_page",
    "serve_volumes",
    "write_queue_page",
]
