"""Which worker has which job, which patch has which slot, and what is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, count
from typing import Final, NamedTuple

from voxloom._errors import QueueError, QueueMemoryError
from voxloom.loading._ahead import Ahead
from voxloom.loading._free_slots import FreeSlots
from voxloom.loading._jobs import Jobs
from voxloom.loading._lacking import Lacking
from voxloom.loading._memory import pretty
from voxloom.loading._memory_cache import StoredVolumes
from voxloom.loading._messages import Began, Command, Cut, Drop, Executor, Finished, Open
from voxloom.loading._plan import EpochPlan
from voxloom.loading._running import Grant, Patch, Running, finished_patch
from voxloom.loading._slots import Layout, SlotMemory
from voxloom.loading._work import Job, Pairs
from voxloom.subjects import Subject

# So much a worker is given at a time, counted in patches that are jobs of their own: in
# milliseconds of work, more or less.
_ROOM: Final = 32
# As much counts a job that has its slots: a worker finishes one while the next waits in its pipe.
_JOB: Final = _ROOM // 2
# A worker that had the subject of a single patch may have so much more to do than another, and
# still gets it: a worker that had not would have to open the subject first.
_OPENING: Final = 16
# Of the places of a job, so many are told when it is opened: a worker looks at the first patch that
# can be made. As many as a long queue holds would not fit in a pipe.
_MOST_TOLD: Final = 64
# Slots are given out by such shares of all, so that a worker is not asked patch by patch.
_SHARE: Final = 8
# Patches that could be made at any time are made ahead, and given out by such shares of them.
_SHARE_AHEAD: Final = 2
# Of what is joined at once, a job has such a share of what a worker gets.
_SHARE_JOINED: Final = 2


class _Granted(NamedTuple):
    """Places of a job that have slots, and of which its worker is still to be told."""

    running: Running
    places: list[int]


class Ledger:
    """Gives out jobs and slots in the order of the plan, and books what comes back.

    Jobs get slots in the order in which their first patches are due, or there is enough left for
    those before them, so the patch that is due next always has one: the plan's peak is within the
    number of slots. Work that is done again keeps its slots, so that this stays true.

    Parameters
    ----------
    plan : callable
        ``plan(epoch)`` returns the plan of an epoch.
    executor : Executor
        Who works.
    memory : SlotMemory
        Where finished patches lie; its number of slots is the bound.
    alone : bool
        Whether each job is one patch, which any worker may make. Otherwise that is so for subjects
        whose volumes stay in memory.

    Attributes
    ----------
    keeps_order : bool
        Whether patches that are asked for from now on may lie as their volumes do.
    """

    def __init__(
        self,
        plan: Callable[[int], EpochPlan],
        executor: Executor,
        memory: SlotMemory,
        *,
        alone: bool = False,
    ) -> None:
        self._plan, self._executor, self._memory = plan, executor, memory
        self._alone = alone
        self._outbox: list[tuple[int, Command | _Granted]] = []
        self._known: dict[int, tuple[Subject, Layout]] = {}
        self._layouts: dict[Layout, Layout] = {}
        self._stored: dict[int, StoredVolumes] = {}
        self._openers: dict[int, set[int]] = {}
        self._numbers = count()
        self._slots = FreeSlots(memory)
        self._ahead = Ahead(executor.num_workers, memory.count)
        self._lacking = Lacking(self._slots, self._is_at_hand)
        self._jobs = Jobs(plan, 0, 0, self._numbers, self._is_at_hand)
        self._next: Job | None = None
        self._loads: list[int] = []
        self._due = (0, 0)
        self.keeps_order = False
        self.running: dict[int, Running] = {}
        self.ready: dict[tuple[int, int], Patch] = {}

    @property
    def free(self) -> tuple[int, ...]:
        """The slots that nothing is in, and nothing is promised."""
        return tuple(self._slots)

    @property
    def slot_count(self) -> int:
        """How many slots there may be."""
        return self._memory.count

    @property
    def held(self) -> int:
        """How many slots hold a finished patch or are promised to one."""
        return self._slots.held

    def seek(self, epoch: int, place: int, *, afresh: bool) -> None:
        """Go on from a place; keep what was made for later ones, unless all is made `afresh`."""
        afresh = afresh or (epoch, place) < self._due or self._next is None
        self._due = (epoch, place)
        for running in list(self.running.values()):
            if afresh or running.last < self._due:
                self._abandon(running)
        for key in [key for key in self.ready if afresh or key < self._due]:
            self._slots.put(self.ready.pop(key).slot)
        if afresh or self._next is None or self._next.epoch < epoch:
            self._jobs = Jobs(self._plan, epoch, place, self._numbers, self._is_at_hand)
            self._next = next(self._jobs)
        while (self._next.epoch, self._next.places[-1][0]) < self._due:
            self._next = next(self._jobs)

    def take(self, key: tuple[int, int]) -> Patch:
        """Hand out a finished patch."""
        self.await_place(*key[:1], key[1] + 1)
        return self.ready.pop(key)

    def await_place(self, epoch: int, place: int) -> None:
        """Note what is due next: nothing before it is wanted any more.

        Raises
        ------
        QueueError
            If it was handed out before: whoever waits would wait for ever.
        """
        if (epoch, place) < self._due:
            raise QueueError(
                f"the patch at plan index {place} of epoch {epoch} was handed out before; a queue "
                f"is read by one loop in one thread at a time: begin a new loop"
            )
        self._due = (epoch, place)

    def release(self, patches: list[Patch]) -> None:
        """Take slots back."""
        for patch in patches:
            self._memory.retire(patch.slot)
            self._slots.put(patch.slot)

    def lacks_slot(self, key: tuple[int, int]) -> bool:
        """Tell whether a patch cannot be made before somebody gives a slot back."""
        epoch, place = key
        return self._slots.is_out and not any(
            running.job.epoch == epoch and place in running.waiting
            for running in self.running.values()
        )

    def begin(self, running: Running, event: Began) -> None:
        """Book an opened subject. The first one decides how large a slot is."""
        # One object for all that are alike: batches compare the layouts of their patches.
        layout = self._layouts.setdefault(event.layout, event.layout)
        running.outline, running.layout = event.outline, layout
        subject = running.job.subject
        if event.is_lasting and (self._alone or event.stored):
            self._known[subject] = event.outline, layout
        else:
            self._known.pop(subject, None)
        if event.stored is None:
            self._stored.pop(subject, None)
        elif event.stored:
            self._stored[subject] = event.stored
        if not self._memory.slot_bytes:
            self._memory.reserve(layout.nbytes)

    def keep(self, running: Running, done: Finished) -> None:
        """Book a finished patch."""
        key = (running.job.epoch, done.place)
        _, _, slot = running.waiting.pop(done.place)
        if running.unwanted or key < self._due:
            self._slots.put(slot)
        else:
            read = partial(self._memory.frame, self._memory.frame_of(slot))
            self.ready[key] = finished_patch(running, done, slot, read)
        self._forget_if_done(running)

    def note_work(self, count: int, seconds: float) -> None:
        """Note how long a worker took for some patches: more are made ahead where that is short."""
        self._ahead.note_work(count, seconds)

    def split_joined(self, running: Running, place: int) -> Running:
        """Take one patch out of a job if it was a job of its own before it was joined."""
        if not running.job.is_joined or place not in running.waiting:
            return running
        return self.split(running, place)

    def split(self, running: Running, place: int) -> Running:
        """Take one patch out of a job, with its slot, to be made by a job of its own."""
        grant = running.waiting.pop(place)
        one, asked = (
            job._replace(number=next(self._numbers), places=_only(job, place))
            for job in (running.job, running.asked)
        )
        part = replace(running, job=one, asked=asked, granted=1, waiting={place: grant})
        self.running[one.number] = part
        self._forget_if_done(running)
        return part

    def give_back(self, running: Running) -> None:
        """Forget a job that no worker will report on again."""
        self._slots.put(*(slot for _, _, slot in running.waiting.values()))
        self.running.pop(running.job.number, None)
        self._lacking.discard(running)

    def run_again(
        self,
        running: Running,
        worker: int,
        subject: int | None = None,
        number: Callable[[int], int] = int,
    ) -> None:
        """Let a worker make what is left of a job, from this or another subject.

        It is a new job for the worker, so that nothing said of the old one is mistaken for it.
        `number` gives the new number of a patch, by the number that the plan asked for.
        """
        del self.running[running.job.number]
        asked = dict(running.asked.places)
        places = tuple(
            (place, patch if subject is None else number(asked[place]))
            for place, patch in running.left()
        )
        patches = dict(places)
        running.waiting = {p: (p, patches[p], slot) for p, _, slot in running.waiting.values()}
        running.granted, running.worker = len(running.waiting), worker
        running.outline = running.layout = None
        running.job = running.job._replace(
            number=next(self._numbers),
            subject=running.job.subject if subject is None else subject,
            places=places,
        )
        self.running[running.job.number] = running
        commands: list[Command] = [self._open(running)]
        if running.waiting:
            commands.append(self._cut(running, list(running.waiting.values())))
        self._executor.send(worker, *commands)

    def of_worker(self, worker: int) -> list[Running]:
        """Return what a worker has, in the order in which it was told."""
        return [running for running in self.running.values() if running.worker == worker]

    def pump(self, *, eager: bool = False) -> None:
        """Give out jobs, and slots once there are some; `eager`, any that are free.

        Raises
        ------
        QueueMemoryError
            If somebody waits, and there is no memory for a slot.
        """
        if eager:
            self._ahead.note_wait()
        wants_next = self._wants_next
        self._ahead.note_rest(not wants_next and not self.running)
        opens = wants_next and self._pays(eager=eager)
        if not opens and self._next_grant() is None:
            return  # as after most reports and batches, where each patch is a job
        self._loads = self._count_loads()
        if opens and self._next_is_one_of_many and self._ahead.are_quick:
            self._join_next()
        while (opens and self._assign()) or self._grant(eager):
            pass
        if eager and self._is_stuck():
            raise QueueMemoryError(
                f"there is no memory for another patch of {pretty(self._memory.slot_bytes)} beside "
                f"{self.held} that are held; choose a smaller max_length or patch_size"
            )
        outbox, self._outbox = self._outbox, []
        _put_slots_in_order([told for _, told in outbox if isinstance(told, _Granted)])
        messages: dict[int, list[Command]] = {}
        for worker, told in outbox:
            messages.setdefault(worker, []).append(self._as_command(told))
        for worker, commands in messages.items():
            self._executor.send(worker, *_joined(commands))

    def _forget_if_done(self, running: Running) -> None:
        if not running.waiting and (running.is_granted or running.unwanted):
            self.running.pop(running.job.number, None)

    def _abandon(self, running: Running) -> None:
        if running.unwanted:
            return
        running.unwanted = True
        self._executor.send(running.worker, Drop(running.job.number))
        self._lacking.discard(running)
        self._forget_if_done(running)

    def _assign(self) -> bool:
        """Give the next job to a worker that has room. Tell whether one had."""
        job = self._next
        worker = self._worker_for(job) if job is not None and self._wants_next else None
        if job is None or worker is None:
            return False
        running = Running(job, worker, asked=job)
        running.outline, running.layout = self._known.get(job.subject, (None, None))
        self.running[job.number] = running
        self._openers.setdefault(job.subject, set()).add(worker)
        self._loads[worker] += self._load(running)
        self._lacking.add(running)
        self._outbox.append((worker, self._open(running)))
        self._next = self._jobs.look_ahead()  # `seek` says it where an epoch has no plan
        return True

    def _join_next(self) -> None:
        """Join the next job, and those that are due soon too, with others of its subject.

        No more than there are slots for now: else others would have those in between.
        """
        assert self._next is not None
        room = min(self._room, self._slots.have(self._room))
        most = max(room // (_SHARE_JOINED * self._executor.num_workers), 1)
        self._next = self._jobs.join(self._next, self._next.places[0][0] + room, most)

    @property
    def _wants_next(self) -> bool:
        """Whether there is a next job to give out: a single patch only if it is due soon."""
        return self._next is not None and (not self._next_is_one_of_many or self._room > 0)

    @property
    def _room(self) -> int:
        """How many patches, from the next job on, are due soon."""
        assert self._next is not None
        return self._end_of_soon(self._next.epoch) - self._next.places[0][0]

    def _end_of_soon(self, epoch: int) -> int:
        """Return the place of an epoch before which patches are made that could be made later."""
        return self._jobs.place_after(self._due, self._ahead.count, epoch)

    def _pays(self, *, eager: bool) -> bool:
        """Tell whether jobs should be given out: of single patches many at once, if nobody waits.

        They get slots in the order in which they are due: as long as the one that is due has a
        slot, nobody waits for the others to get theirs.
        """
        if not self._next_is_one_of_many or (eager and not self._has_slot(self._due)):
            return True
        return self._room >= self._ahead.count // _SHARE_AHEAD

    def _count_loads(self) -> list[int]:
        """Return how much room the jobs of each worker take."""
        loads = [0] * self._executor.num_workers
        for running in self.running.values():
            loads[running.worker] += self._load(running)
        return loads

    def _load(self, running: Running) -> int:
        if self._lacking.has_promise(running):
            return 1
        if not running.is_granted and not running.unwanted:
            return _ROOM
        return len(running.job.places) if self._is_single(running.job) else _JOB

    @property
    def _next_is_one_of_many(self) -> bool:
        """Whether the next job is a single patch, of a size that is known."""
        return bool(self._memory.slot_bytes) and self._is_single(self._next)

    def _is_at_hand(self, subject: int) -> bool:
        """Tell whether any worker can cut a patch of a subject without decoding a volume."""
        return subject in self._known

    def _is_single(self, job: Job | None) -> bool:
        """Tell whether a job is one patch that any worker may make, or several such."""
        if self._alone or job is None:
            return self._alone
        return job.is_joined or (len(job.places) == 1 and self._is_at_hand(job.subject))

    def _has_slot(self, key: tuple[int, int]) -> bool:
        """Tell whether all patches that are due up to a place have slots."""
        waiting = [(running.job, running.granted) for running in self._lacking]
        if self._next is not None:
            waiting.append((self._next, 0))
        return all((job.epoch, job.places[granted][0]) > key for job, granted in waiting)

    def _is_stuck(self) -> bool:
        """Tell whether the patch that is due gets no slot, and none will come free."""
        all_wait = self.held == len(self.ready)
        return self._slots.is_refused and all_wait and self.lacks_slot(self._due)

    def _worker_for(self, job: Job) -> int | None:
        holder, costs = None, self._loads
        if not self._is_single(job):
            holder = self._holder_of(job)
        elif job.subject in self._openers:
            openers = self._openers[job.subject]
            costs = [load + _OPENING * (n not in openers) for n, load in enumerate(costs)]
        worker = costs.index(min(costs)) if holder is None else holder
        return worker if self._loads[worker] < _ROOM else None

    def _holder_of(self, job: Job) -> int | None:
        """Return the worker that has the subject of a job open."""
        holder = None
        for running in self.running.values():
            if (running.job.subject, running.job.epoch) == (job.subject, job.epoch):
                holder = running.worker
        return holder

    def _grant(self, eager: bool) -> bool:
        """Give free slots to a job that lacks some. Tell whether any were given."""
        found = self._next_grant()
        if found is None:
            return False
        running, wanted = found
        free = self._slots.have(wanted)
        if not free or (free < min(wanted, self._memory.count // _SHARE) and not eager):
            return False
        fin, load = running.granted + min(wanted, free), self._load(running)
        pairs = running.job.places[running.granted : fin]
        running.waiting.update((place, (place, n, self._slots.take())) for place, n in pairs)
        running.granted = fin
        self._outbox.append((running.worker, _Granted(running, [place for place, _ in pairs])))
        if running.is_granted:
            self._lacking.discard(running)
            self._loads[running.worker] += self._load(running) - load
        return True

    def _next_grant(self) -> tuple[Running, int] | None:
        """Return which job should have slots now, and how many."""
        slot_bytes = self._memory.slot_bytes
        return self._lacking.next(self._end_of_soon, slot_bytes) if slot_bytes else None

    def _open(self, running: Running) -> Open:
        """Return the command to open a subject; the first one asks to keep its volumes."""
        job = running.job
        stored = self._stored.get(job.subject)
        self._stored.setdefault(job.subject, ())
        told = job._replace(places=job.places[:_MOST_TOLD])
        return Open(told, len(job.places), running.outline is not None, stored)

    def _cut(self, running: Running, grants: list[Grant]) -> Cut:
        frame_of = self._memory.frame_of
        number = running.job.number
        patches = tuple((number, place, patch, frame_of(slot)) for place, patch, slot in grants)
        return Cut(patches, self._memory.slot_bytes, self.keeps_order)

    def _as_command(self, told: Command | _Granted) -> Command:
        if not isinstance(told, _Granted):
            return told
        return self._cut(told.running, [told.running.waiting[place] for place in told.places])


def _put_slots_in_order(granted: list[_Granted]) -> None:
    """Let patches have the slots just granted in the order in which they are due.

    Whatever their jobs, the same slots lie side by side in batches again and again then.
    """
    given = [(one.running, place) for one in granted for place in one.places]
    slots = [running.waiting[place][2] for running, place in given]
    given.sort(key=lambda one: (one[0].job.epoch, one[1]))
    for (running, place), slot in zip(given, slots, strict=True):
        running.waiting[place] = (*running.waiting[place][:2], slot)


def _joined(commands: list[Command]) -> Iterator[Command]:
    """Yield commands, those to cut joined, for which known subjects need not be opened before."""
    cuts: list[Cut] = []
    for command in commands:
        if isinstance(command, Cut):
            cuts.append(command)
            continue
        if cuts and isinstance(command, Open) and not command.is_known:
            yield _join(cuts)
            cuts = []
        yield command
    if cuts:
        yield _join(cuts)


def _join(cuts: list[Cut]) -> Cut:
    return cuts[0]._replace(patches=tuple(chain.from_iterable(cut.patches for cut in cuts)))


def _only(job: Job, place: int) -> Pairs:
    return tuple(pair for pair in job.places if pair[0] == place)
