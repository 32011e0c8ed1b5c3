"""Work in the trainer's own thread, when it asks for a patch."""

from __future__ import annotations

from collections import deque
from typing import final

from voxloom.loading._bench import Bench
from voxloom.loading._board import Position
from voxloom.loading._memory_cache import MemoryCache
from voxloom.loading._messages import Command, Event
from voxloom.loading._slots import SlotMemory
from voxloom.loading._work import WorkSpec


@final
class InlineExecutor:
    """One worker that works whenever somebody waits for an event."""

    num_workers = 1

    def __init__(
        self, spec: WorkSpec, memory: SlotMemory, cache: MemoryCache | None = None
    ) -> None:
        self._cache = cache
        self._bench = Bench(spec, memory, cache=cache)
        self._commands: deque[Command] = deque()

    def send(self, worker: int, *commands: Command) -> None:
        """Remember commands."""
        self._commands.extend(commands)

    def receive(self) -> list[tuple[int, Event]]:
        """Carry out the next command and return what came of it."""
        events: list[tuple[int, Event]] = [
            (0, event) for event in self._bench.obey(self._commands[0])
        ]
        self._commands.popleft()  # not before: an interrupted command is carried out again
        return events

    def revive(self, worker: int) -> None:
        """Nothing is ever lost here."""

    def position(self, worker: int) -> Position:
        """Nobody could ask while it works."""
        return Position()

    def stacks(self, worker: int) -> str:
        """Nobody could ask while it works."""
        return ""

    def kill(self, worker: int) -> bool:
        """Tell that the trainer cannot be ended."""
        return False

    def wake(self) -> None:
        """Nobody ever waits here."""

    def close(self) -> None:
        """Forget what is left to do."""
        self._commands.clear()
        if self._cache is not None:
            self._cache.close()
