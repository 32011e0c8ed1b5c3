"""Pictures: where patches come from, what is in them, and how the queue fares.

Every function returns a `matplotlib.figure.Figure` that belongs to the caller:
``plot_subject(subject).savefig("subject.png")``. Nothing is kept by pyplot, so nothing leaks and
no display is needed. matplotlib comes with ``pip install 'voxloom[plot]'``.
"""

from voxloom.view._batch import plot_batch
from voxloom.view._canonical import AXIAL, CORONAL, SAGITTAL, Canonical, Plane
from voxloom.view._centres import plot_centres
from voxloom.view._comparison import plot_comparison
from voxloom.view._curve import plot_curve
from voxloom.view._subject import plot_subject
from voxloom.view._timeline import Moment, QueueTimeline, plot_timeline

__all__ = [
    "AXIAL",
    "CORONAL",
    "SAGITTAL",
    "Canonical",
    "Moment",
    "Plane",
    "QueueTimeline",
    "plot_batch",
    "plot_centres",
    "plot_comparison",
    "plot_curve",
    "plot_subject",
    "plot_timeline",
]
