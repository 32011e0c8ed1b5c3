// Plays runs: start, pause, step, restart, at any speed.

const SUMMARY_EVERY_MS = 5000;
const CALM_FRAME_MS = 500;
const TITLES = {
  spread: "spread: patches of a moving window of subjects",
  fill: "fill: fill, shuffle, drain, refill",
};

function drawCharts(stage, courses, duration, settings) {
  const [fill, waiting, distinct, loads] = stage.charts;
  fill.draw(courses.ready, duration, settings.max_length, settings.max_length);
  waiting.draw(courses.waiting, duration, 1);
  distinct.draw(courses.distinct, duration, Math.min(settings.batch_size, settings.subjects));
  loads.draw(courses.loads, duration, Math.max(1, ...courses.loads.map(([, value]) => value)));
}

function addCharts(stage, waiting, loads) {
  const whole = (value) => `${Math.round(value)}`;
  stage.addChart(new Chart("Finished patches in the queue", whole));
  stage.addChart(new Chart(waiting, (value) => `${Math.round(100 * value)} %`));
  stage.addChart(new Chart("Distinct subjects in a batch", whole));
  stage.addChart(new Chart(loads, whole));
}

class Player {
  constructor(obtain) {
    this.obtain = obtain;
    this.time = 0;
    this.isPlaying = false;
    this.films = [];
    this.requests = 0;
    this.saidAt = 0;
    this.isCalm = matchMedia("(prefers-reduced-motion: reduce)");
    this.get = (id) => document.getElementById(id);
    this.get("playback").hidden = false;
    this.get("play").addEventListener("click", () => (this.isPlaying ? this.pause() : this.start()));
    this.get("step").addEventListener("click", () => this.step());
    this.get("restart").addEventListener("click", () => this.restart());
    this.get("speed").addEventListener("input", () => this.showSpeed());
    this.get("time").addEventListener("input", () => {
      this.moveTo(Number(this.get("time").value));
      this.say();
    });
    this.showSpeed();
  }

  get duration() {
    return Math.max(...this.films.map((film) => film.duration));
  }

  /** Show other settings, from the beginning; what plays goes on playing. */
  async load(wanted) {
    this.requests += 1;
    const request = this.requests;
    let runs;
    try {
      runs = await Promise.all(wanted.map((settings) => this.obtain(settings)));
    } catch (error) {
      if (request === this.requests) this.complain(error);
      return;
    }
    if (request !== this.requests) return; // other settings were asked for since
    this.get("problem").hidden = true;
    this.films = runs.map((run) => new Film(run));
    this.showStages();
    this.get("time").max = this.duration;
    this.moveTo(0);
    this.say();
  }

  complain(error) {
    this.pause();
    const problem = this.get("problem");
    write(problem, `These settings cannot be shown: ${error.message}`);
    problem.hidden = false;
  }

  showStages() {
    this.stages = this.films.map((film) => {
      const stage = new Stage(TITLES[film.settings.schedule]);
      addCharts(stage, "Trainer waiting, last 8 steps", "Loads begun since the last step");
      drawCharts(stage, film.courses(), this.duration, film.settings);
      return stage;
    });
    const place = this.get("stages");
    place.classList.toggle("both", this.stages.length > 1);
    place.replaceChildren(...this.stages.map((stage) => stage.root));
  }

  moveTo(time) {
    this.time = Math.min(time, this.duration);
    this.films.forEach((film, n) => {
      this.stages[n].show(film.at(this.time));
      this.stages[n].charts.forEach((chart) => chart.moveTo(this.time));
    });
    this.get("time").value = this.time;
    write(this.get("time-value"), `${this.time.toFixed(1)} s`);
    this.get("time").setAttribute("aria-valuetext", `${this.time.toFixed(1)} seconds`);
  }

  start() {
    if (!this.films.length) return;
    if (this.time >= this.duration) this.moveTo(0);
    this.setPlaying(true);
    let before = null;
    const frame = (now) => {
      if (!this.isPlaying) return;
      before ??= now;
      if (!this.isCalm.matches || now - before >= CALM_FRAME_MS) {
        this.moveTo(this.time + ((now - before) / 1000) * this.speed);
        before = now;
      }
      if (now - this.saidAt > SUMMARY_EVERY_MS) this.say(now);
      if (this.time >= this.duration) this.pause();
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  pause() {
    this.setPlaying(false);
    this.say();
  }

  setPlaying(isPlaying) {
    this.isPlaying = isPlaying;
    write(this.get("play"), isPlaying ? "Pause" : "Start");
  }

  /** Go to where the next batch comes. */
  step() {
    this.setPlaying(false);
    const coming = this.films.flatMap((film) => (
      film.run.batches.filter((batch) => batch.came_s > this.time).slice(0, 1).map((batch) => batch.came_s)
    ));
    this.moveTo(coming.length ? Math.min(...coming) : this.duration);
    this.say();
  }

  restart() {
    this.moveTo(0);
    this.say();
  }

  showSpeed() {
    this.speed = 2 ** Number(this.get("speed").value);
    write(this.get("speed-value"), `× ${this.speed}`);
    this.get("speed").setAttribute("aria-valuetext", `${this.speed} times`);
  }

  say(now = performance.now()) {
    this.saidAt = now;
    if (this.films.length) write(this.get("summary"), this.films.map((film) => film.summaryAt(this.time)).join(" "));
  }
}
