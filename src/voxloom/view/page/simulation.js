// The discrete-event simulation of voxloom.view._simulation, for pages that are read without
// Python. A test holds it to that one, number by number.

const JOBS_A_WORKER = 2;

class Simulation {
  constructor(settings) {
    this.settings = settings;
    this.now = 0;
    const plans = count(settings.epochs).map((epoch) => planEpoch(settings, epoch));
    this.patches = plans.flatMap((plan) => plan.subjects.map((subject, n) => ({
      subject, patch: plan.patches[n], epoch: plan.epoch, job: -1,
      slot: -1, granted_s: -1, ready_s: -1, taken_s: -1,
    })));
    this.jobs = listJobs(plans);
    for (const job of this.jobs) for (const place of job.places) this.patches[place].job = job.number;
    const slots = Math.min(settings.max_length, 2 * plans[0].subjects.length);
    this.free = count(slots).reverse();
    this.workers = count(Math.max(settings.num_workers, 1)).map(() => (
      { waiting: [], opening: null, end_s: 0, last: null }
    ));
    this.running = [];
    this.loads = [];
  }

  run() {
    const batches = [];
    this.pump();
    for (const [epoch, first, size] of listBatches(this.settings)) {
      const asked = this.now;
      for (let place = first; place < first + size; place += 1) {
        this.awaitPatch(place);
        this.take(place);
      }
      batches.push({ epoch, first, count: size, asked_s: asked, came_s: this.now });
      this.passUntil(this.now + this.settings.step_s);
    }
    return { settings: this.settings, patches: this.patches, loads: this.loads, batches };
  }

  awaitPatch(place) {
    while (this.patches[place].ready_s < 0) {
      this.startIdle();
      this.finishNext();
    }
  }

  passUntil(time) {
    for (let next = this.nextToFinish(); next && next.end_s <= time; next = this.nextToFinish()) {
      this.finishNext();
    }
    this.now = time;
  }

  nextToFinish() {
    const busy = this.workers.filter((worker) => worker.opening);
    return busy.reduce((first, worker) => (first && first.end_s <= worker.end_s ? first : worker), null);
  }

  finishNext() {
    const worker = this.nextToFinish();
    const job = worker.opening;
    this.now = worker.end_s;
    worker.opening = null;
    worker.last = job;
    job.isOpen = true;
    for (const place of job.places.slice(0, job.granted)) this.patches[place].ready_s = this.now;
    this.pump();
  }

  take(place) {
    this.patches[place].taken_s = this.now;
    this.free.push(this.patches[place].slot);
    this.pump();
  }

  pump() {
    while (this.assign() || this.grant() || this.forget());
    if (this.settings.num_workers) this.startIdle();
  }

  assign() {
    if (!this.jobs.length) return false;
    const job = this.jobs[0];
    const loads = this.workers.map(() => 0);
    let holder = null;
    for (const running of this.running) {
      loads[running.worker] += isGranted(running) ? 1 : JOBS_A_WORKER;
      if (isSameVolume(running, job)) holder = running.worker;
    }
    const worker = holder ?? loads.indexOf(Math.min(...loads));
    if (loads[worker] >= JOBS_A_WORKER) return false;
    job.worker = worker;
    this.workers[worker].waiting.push(this.jobs.shift());
    this.running.push(job);
    return true;
  }

  grant() {
    const job = this.running.find((running) => !isGranted(running));
    if (!job || !this.free.length) return false;
    for (const place of job.places.slice(job.granted, job.granted + this.free.length)) {
      const patch = this.patches[place];
      patch.slot = this.free.pop();
      patch.granted_s = this.now;
      job.granted += 1;
      if (job.isOpen) patch.ready_s = this.now;
    }
    return true;
  }

  forget() {
    const left = this.running.filter((job) => !(job.isOpen && isGranted(job)));
    const forgot = left.length < this.running.length;
    this.running = left;
    return forgot;
  }

  startIdle() {
    this.workers.forEach((worker, number) => {
      if (worker.opening || !worker.waiting.length) return;
      const job = worker.waiting.shift();
      worker.opening = job;
      worker.end_s = this.now;
      if (worker.last && isSameVolume(worker.last, job)) return;
      worker.end_s += this.settings.load_s;
      this.loads.push({
        worker: number, subject: job.subject, epoch: job.epoch, job: job.number,
        begin_s: this.now, end_s: worker.end_s,
      });
    });
  }
}

function isGranted(job) {
  return job.granted === job.places.length;
}

function isSameVolume(one, other) {
  return one.subject === other.subject && one.epoch === other.epoch;
}

function listJobs(plans) {
  const jobs = [];
  let before = 0;
  for (const plan of plans) {
    const first = jobs.length;
    plan.residencies.forEach((residency, place) => {
      jobs[first + residency] ??= {
        number: first + residency, subject: plan.subjects[place], epoch: plan.epoch,
        places: [], granted: 0, worker: -1, isOpen: false,
      };
      jobs[first + residency].places.push(before + place);
    });
    before += plan.subjects.length;
  }
  return jobs;
}

function listBatches({ subjects, samples_per_volume: samples, batch_size: size, epochs }) {
  const length = subjects * samples;
  const starts = count(Math.ceil(length / size)).map((n) => n * size);
  return count(epochs).flatMap((epoch) => (
    starts.map((start) => [epoch, epoch * length + start, Math.min(size, length - start)])
  ));
}

/** Return all that happens with these settings, as simulate(Settings(...)).as_dict() does. */
function simulate(settings) {
  return new Simulation(settings).run();
}
