// What a run looks like at one moment, and its course over time.

const ROLLING = 8;

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function countDistinct(subjects) {
  return new Set(subjects).size;
}

/** Return the share of the time that the trainer waited, after the first batch. */
function waitingShare(batches, from = 0) {
  const rest = batches.slice(from + 1);
  if (!rest.length) return 0;
  const elapsed = rest[rest.length - 1].came_s - batches[from].came_s;
  return elapsed > 0 ? rest.reduce((sum, batch) => sum + batch.came_s - batch.asked_s, 0) / elapsed : 0;
}

class Film {
  constructor(run) {
    this.run = run;
    this.settings = run.settings;
    this.last = run.batches[run.batches.length - 1];
    this.duration = this.last.came_s + run.settings.step_s;
    this.subjectsOf = run.batches.map(({ first, count: size }) => (
      run.patches.slice(first, first + size).map((patch) => patch.subject)
    ));
    this.distinct = this.subjectsOf.map(countDistinct);
    this.slots = run.patches.reduce((most, patch) => Math.max(most, patch.slot + 1), 0);
    this.slots = Math.max(this.slots, Math.min(run.settings.max_length, run.patches.length));
  }

  /** Return the curves: finished patches, waiting share, distinct subjects, loads a step. */
  courses() {
    const { batches, loads, patches } = this.run;
    const changes = patches.flatMap((patch) => [[patch.ready_s, 1], [patch.taken_s, -1]]);
    changes.sort(([a], [b]) => a - b);
    const ready = [[0, 0]];
    for (const [time, change] of changes) {
      const [when, value] = ready[ready.length - 1];
      if (when === time) ready[ready.length - 1][1] = value + change;
      else ready.push([time, value + change]);
    }
    return {
      ready,
      waiting: batches.map((batch, n) => [batch.came_s, waitingShare(batches.slice(0, n + 1), Math.max(n - ROLLING, 0))]),
      distinct: batches.map((batch, n) => [batch.came_s, this.distinct[n]]),
      loads: batches.map((batch, n) => {
        const since = n ? batches[n - 1].came_s : -1;
        return [batch.came_s, loads.filter((load) => since < load.begin_s && load.begin_s <= batch.came_s).length];
      }),
    };
  }

  /** Return what is the case at a time in seconds. */
  at(time) {
    const { batches, patches, loads } = this.run;
    const came = lastBefore(batches, time, (batch) => batch.came_s);
    const next = batches[came + 1];
    const slots = Array(this.slots).fill(null);
    let [held, ready] = [0, 0];
    const left = this.settings.subjects ? Array(this.settings.subjects).fill(0) : [];
    const queued = new Set();
    const epoch = (next ?? this.last).epoch;
    patches.forEach((patch, place) => {
      if (patch.epoch === epoch && patch.taken_s > time) left[patch.subject] += 1;
      if (patch.granted_s > time || patch.taken_s <= time) return;
      const isReady = patch.ready_s <= time;
      const isNext = Boolean(next) && place < next.first + next.count;
      slots[patch.slot] = { subject: patch.subject, isReady, isNext };
      held += 1;
      ready += isReady;
      if (isReady) queued.add(patch.subject);
    });
    const loading = loads.filter((load) => load.begin_s <= time && time < load.end_s);
    return {
      subjects: this.subjectsAt(left, queued, loading, time),
      workers: this.workersAt(loading, time),
      slots, held, ready,
      maxLength: this.settings.max_length,
      trainer: this.trainerAt(came, time),
      batches: count(came + 1).reverse().slice(0, BATCHES_SHOWN).map((n) => ({ number: n + 1, subjects: this.subjectsOf[n] })),
      facts: this.factsAt(came, epoch, time),
    };
  }

  subjectsAt(left, queued, loading, time) {
    return left.map((patches, subject) => {
      const load = loading.find((each) => each.subject === subject);
      if (load) return { subject, state: "loading", share: (time - load.begin_s) / (load.end_s - load.begin_s) };
      if (queued.has(subject)) return { subject, state: "queued" };
      return { subject, state: patches ? "waiting" : "done" };
    });
  }

  workersAt(loading, time) {
    return count(Math.max(this.settings.num_workers, 1)).map((worker) => {
      const load = loading.find((each) => each.worker === worker);
      if (!load) return { subject: null, share: 0 };
      return { subject: load.subject, stage: "loads subject", share: (time - load.begin_s) / (load.end_s - load.begin_s) };
    });
  }

  trainerAt(came, time) {
    const { batches } = this.run;
    if (came === batches.length - 1) return time < this.duration ? "trains" : "is done";
    return batches[came + 1].asked_s <= time ? "waits" : "trains";
  }

  factsAt(came, epoch, time) {
    const { batches, loads, patches } = this.run;
    const past = batches.slice(0, came + 1);
    const distinct = this.distinct.slice(0, came + 1);
    const mean = distinct.length ? distinct.reduce((a, b) => a + b) / distinct.length : 0;
    const opened = loads.filter((load) => load.begin_s <= time).length;
    const out = past.length ? past[came].first + past[came].count : 0;
    return [
      ["Epoch", `${epoch + 1} of ${this.settings.epochs}`, "epoch"],
      ["Batches", `${past.length} of ${batches.length}`, "batches"],
      ["Patches out", `${out} of ${patches.length}`, "patches"],
      ["Volumes loaded", `${opened} of ${loads.length}`, "loads"],
      ["Trainer waited", percent(waitingShare(past)), "waiting"],
      ["Subjects a batch", mean.toFixed(2), "distinct"],
      ["Loads a step", past.length ? (opened / past.length).toFixed(2) : "–", "loads-a-step"],
    ];
  }

  /** Return one sentence for people who cannot see the page. */
  summaryAt(time) {
    const moment = this.at(time);
    const fact = Object.fromEntries(moment.facts.map(([, value, key]) => [key, value]));
    const last = moment.batches[0];
    const of = last ? ` The last batch has ${last.subjects.length} patches of ${countDistinct(last.subjects)} subjects.` : "";
    return `${this.settings.schedule}, ${time.toFixed(1)} s: batch ${fact.batches}, ${moment.ready} patches ready, `
      + `${moment.held} of ${moment.maxLength} held, the trainer ${moment.trainer}, it waited ${fact.waiting} of the time.${of}`;
  }
}
