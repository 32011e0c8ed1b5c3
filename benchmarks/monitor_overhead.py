"""What the live page costs: epochs of one queue, with the page asked twice a second and without.

python benchmarks/monitor_overhead.py --pairs 10
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
import urllib.request

import voxloom as tio


def run_epoch(queue: tio.Queue) -> float:
    """Return patches a second over one epoch; the trainer takes no time."""
    start, patches = time.perf_counter(), 0
    for batch in queue.batches(4):
        patches += len(batch["index_ini"])
    return patches / (time.perf_counter() - start)


def run_watched(queue: tio.Queue) -> float:
    with queue.monitor() as page:
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                urllib.request.urlopen(page.address + "live").read()
                done.wait(0.5)

        browser = threading.Thread(target=look)
        browser.start()
        speed = run_epoch(queue)
        done.set()
        browser.join()
    return speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--subjects", type=int, default=60)
    asked = parser.parse_args()
    phantom = tio.datasets.Phantom((128, 128, 96))
    subject = tio.Subject(t1=phantom.t1.load(), seg=phantom.seg.load())
    dataset = tio.SubjectsDataset(asked.subjects * [subject])
    sampler = tio.LabelSampler(64, "seg")
    with tio.Queue(dataset, 64, 8, sampler, num_workers=1, seed=0) as queue:
        run_epoch(queue)
        ratios = []
        for number in range(asked.pairs):
            order = (run_epoch, run_watched) if number % 2 else (run_watched, run_epoch)
            speeds = {run: run(queue) for run in order}
            ratios.append(speeds[run_watched] / speeds[run_epoch])
            print(f"alone {speeds[run_epoch]:.1f}, watched {speeds[run_watched]:.1f} patches/s")
    spread = statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else float("nan")
    print(
        f"watched/alone: median {statistics.median(ratios):.4f}, mean "
        f"{statistics.mean(ratios):.4f} +- {spread:.4f} (standard error)"
    )


if __name__ == "__main__":
    main()
