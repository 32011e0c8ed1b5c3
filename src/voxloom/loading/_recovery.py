"""What is done when work fails, or a worker dies or hangs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from voxloom._errors import VoxloomError
from voxloom.loading._failures import patch_error, worker_hung, worker_lost, workers_end
from voxloom.loading._ledger import Ledger
from voxloom.loading._messages import Executor, Failed, Lost
from voxloom.loading._replacement import ErrorPolicy, Link, Substitutes, over_budget
from voxloom.loading._running import Running

# Workers that are killed before they are ready are killed by something that stays.
_SILENT_ENDS: Final = 4
_LONGEST_START_S: Final = 60.0


class Recovery:
    """Tries again, takes another subject, or lets the error wait for its turn in the plan.

    What becomes of a patch depends on the plan and on what fails, on no clock and on no number
    of workers: a patch that cannot be made is replaced alone, one of a subject that cannot be
    opened like all others of that subject.

    Parameters
    ----------
    ledger : Ledger
        Where jobs are booked.
    executor : Executor
        Who works.
    describe : callable
        Gives the name of a subject for messages, by its index.
    policy : ErrorPolicy
        How often work is tried, and what follows.
    substitutes : Substitutes, optional
        Who stands in for whom.
    """

    def __init__(
        self,
        ledger: Ledger,
        executor: Executor,
        describe: Callable[[int], str],
        policy: ErrorPolicy,
        substitutes: Substitutes | None,
    ) -> None:
        self._ledger, self._executor, self._describe = ledger, executor, describe
        self._policy, self._substitutes = policy, substitutes
        self._hung: dict[int, tuple[float, str]] = {}
        self._starting = set(range(executor.num_workers))
        self._silent_ends: Counter[int] = Counter()
        self.errors: dict[tuple[int, int], VoxloomError] = {}

    def on_ready(self, worker: int) -> None:
        """Book that a worker has started."""
        self._silent_ends.pop(worker, None)
        self._starting.discard(worker)

    def patience_s(self, timeout_s: float) -> float:
        """Return how long workers may be silent: on a busy machine they take a while to start."""
        return max(timeout_s, _LONGEST_START_S) if self._starting else timeout_s

    def on_failed(self, running: Running, event: Failed) -> None:
        """Do again what raised an exception, or what follows."""
        if event.place is None and running.unwanted:
            self._ledger.give_back(running)
            return
        part = running if event.place is None else self._ledger.split(running, event.place)
        if part.unwanted:
            self._ledger.give_back(part)
            return
        part.failures += 1
        error = patch_error(self._describe, part.job, event)
        self._recover(part, error, again=part.failures < self._policy.runs)

    def on_lost(self, worker: int, event: Lost) -> None:
        """Start another worker, and do again what the lost one had, but not for ever.

        Raises
        ------
        QueueError
            If workers end before they are ready.
        """
        lost = self._ledger.of_worker(worker)
        hung = self._hung.pop(worker, None)
        self._count_silent_end(worker, event)
        self._starting.add(worker)
        self._executor.revive(worker)
        for running in lost:
            if running.unwanted:
                self._ledger.give_back(running)
            elif running.job.number != event.position.job:
                self._ledger.run_again(running, worker)
            else:
                self._blame(running, worker, event, hung)

    def _blame(
        self, running: Running, worker: int, event: Lost, hung: tuple[float, str] | None
    ) -> None:
        """Do again, but not for ever, what a worker was at when it ended; the rest as it was."""
        part = self._ledger.split_joined(running, event.position.place)
        if part is not running and running.job.number in self._ledger.running:
            self._ledger.run_again(running, worker)
        if hung is not None:
            part.failures += 1
            error = worker_hung(self._describe, part.job, event.position, *hung)
            self._recover(part, error, again=part.failures < self._policy.runs)
        else:
            part.deaths += 1
            error = worker_lost(self._describe, part.job, event, part.deaths)
            self._recover(part, error, again=part.deaths < self._policy.deaths)

    def end_hung_workers(self, timeout_s: float) -> None:
        """End the workers that have work and do not get on with it, having seen where they are.

        Raises
        ------
        PatchError
            If they cannot be ended.
        """
        workers = range(self._executor.num_workers)
        stacks = "\n".join(f"worker {n}:\n{self._executor.stacks(n)}" for n in workers)
        jobs = self._ledger.running
        busy = {running.worker: running for running in jobs.values() if running.is_busy}
        for worker, last in busy.items():
            position = self._executor.position(worker)
            running = jobs.get(position.job, last)
            self._hung[worker] = timeout_s, stacks
            if not self._executor.kill(worker):
                raise worker_hung(self._describe, running.job, position, timeout_s, stacks)

    def _count_silent_end(self, worker: int, event: Lost) -> None:
        if event.position.stage != "start":
            return
        self._silent_ends[worker] += 1
        by_itself = event.exit_code is not None and event.exit_code >= 0
        if by_itself or self._silent_ends[worker] >= _SILENT_ENDS:
            raise workers_end(event)

    def _recover(self, running: Running, error: VoxloomError, *, again: bool) -> None:
        if again:
            self._ledger.run_again(running, self._elsewhere(running.worker))
        elif self._policy.on_error != "replace" or not self._replace(running, error):
            self._give_up(running, error)

    def _elsewhere(self, worker: int) -> int:
        """Return the worker that has least to do, another one if there is one."""
        others = [n for n in range(self._executor.num_workers) if n != worker]
        return min(others, key=lambda n: len(self._ledger.of_worker(n)), default=worker)

    def _replace(self, running: Running, error: VoxloomError) -> bool:
        """Let another subject give what is left. Tell whether there is one."""
        assert self._substitutes is not None
        asked, substitutes = running.asked, self._substitutes
        substitute = substitutes.choose(asked.epoch, asked.subject, len(running.links))
        if substitute is None:
            error.add_note("there is no other subject that could take its place")
            return False
        links = (*running.links, Link(running.job.subject, substitute, str(error)))
        if len(links) > self._policy.max_replaced:
            reasons = [link.reason for link in links]
            self._give_up(running, over_budget(reasons, self._policy.max_replaced))
            return True
        running.links, running.failures, running.deaths = links, 0, 0
        self._ledger.run_again(
            running,
            self._elsewhere(running.worker),
            substitute,
            lambda patch: substitutes.number(asked.subject, patch, substitute),
        )
        return True

    def _give_up(self, running: Running, error: VoxloomError) -> None:
        """Let the error wait for its turn in the plan: when it comes up depends on no clock."""
        epoch = running.job.epoch
        self.errors.update(((epoch, place), error) for place, _ in running.left())
        self._ledger.give_back(running)
