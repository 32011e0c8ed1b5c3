// The same page on a queue that runs: it asks every half second while somebody can see it, for
// pictures every fourth time, and changes nothing.

const ASK_EVERY_MS = 500;
const PICTURES_EVERY = 4;
const SAY_EVERY = 10;
const HISTORY = 1200;

class Live {
  constructor() {
    this.stage = null;
    this.answers = 0;
    this.history = { ready: [], waiting: [], distinct: [], loads: [] };
    document.getElementById("live").hidden = false;
    document.getElementById("summary").classList.add("hidden-text"); // what is seen is newer
  }

  async ask() {
    if (document.hidden) {
      document.addEventListener("visibilitychange", () => this.ask(), { once: true });
      return;
    }
    const problem = document.getElementById("problem");
    try {
      const answer = await fetch(this.answers % PICTURES_EVERY ? "live" : "live?pictures=1", { cache: "no-store" });
      if (!answer.ok) throw new Error(`the queue answers ${answer.status}`);
      this.show(await answer.json());
      problem.hidden = true;
    } catch (error) {
      write(problem, `The queue does not answer: ${error.message}`);
      problem.hidden = false;
    }
    setTimeout(() => this.ask(), ASK_EVERY_MS);
  }

  show(state) {
    if (!this.stage) this.makeStage();
    this.stage.show({ ...state, slots: fillSlots(state), facts: listFacts(state) });
    this.record(state);
    const settings = { max_length: state.maxLength, batch_size: state.batchSize, subjects: state.subjects.length };
    drawCharts(this.stage, this.history, state.elapsed_s - this.since, settings);
    for (const chart of this.stage.charts) chart.moveTo(state.elapsed_s - this.since);
    if (state.pictures) this.showPictures(state.pictures);
    this.showStages(state.stages);
    this.showErrors(state.errors);
    if (this.answers % SAY_EVERY === 0) {
      write(document.getElementById("summary"), `${state.ready} patches ready, ${state.held} of ${state.maxLength} held, `
        + `${state.delivered} of ${state.length} patches of epoch ${state.epoch} are out, the trainer waited ${percent(state.waiting_share)} of the time.`);
    }
    this.answers += 1;
  }

  makeStage() {
    this.stage = new Stage("The queue that runs");
    addCharts(this.stage, "Trainer waiting, last half second", "Loads in the last half second");
    document.getElementById("stages").replaceChildren(this.stage.root);
  }

  record(state) {
    this.since ??= state.elapsed_s;
    const now = state.elapsed_s - this.since;
    const last = state.batches[0];
    this.history.ready.push([now, state.ready]);
    const [before, waited] = this.last ?? [now, state.waited_s];
    const share = now > before ? (state.waited_s - waited) / (now - before) : 0;
    this.last = [now, state.waited_s];
    this.history.waiting.push([now, Math.min(share, 1)]);
    if (last) this.history.distinct.push([now, countDistinct(last.subjects)]);
    this.history.loads.push([now, state.loads - (this.loads ?? state.loads)]);
    this.loads = state.loads;
    for (const course of Object.values(this.history)) course.splice(0, course.length - HISTORY);
  }

  showPictures(pictures) {
    const place = document.getElementById("pictures");
    const made = pictures.map(({ subject, image, index_ini: ini, png }) => {
      const figure = element("figure");
      const picture = Object.assign(element("img"), {
        src: `data:image/png;base64,${png}`, alt: `middle slice of ${image}, a patch of subject ${subject}`,
      });
      figure.append(picture, element("figcaption", "", `subject ${subject} at ${ini.join(", ")}`));
      return figure;
    });
    if (!made.length) made.push(element("p", "", "No finished patch has been seen yet."));
    place.replaceChildren(...made);
  }

  showStages(stages) {
    document.getElementById("stage-times").replaceChildren(...stages.map(({ stage, seconds, share }) => {
      const row = element("tr");
      const name = element("th", "", stage);
      name.scope = "row";
      row.append(name, element("td", "", seconds.toFixed(2)), element("td", "", percent(share)));
      return row;
    }));
  }

  showErrors(errors) {
    const lines = errors.length ? errors.map((error) => element("li", "", error)) : [element("li", "none", "None.")];
    document.getElementById("errors").replaceChildren(...lines);
  }
}

function fillSlots(state) {
  const slots = Array(state.slotCount).fill(null);
  for (const slot of state.slots) slots[slot.slot] = slot;
  for (const slot of state.leaving) slots[slot] = { isLeaving: true };
  return slots;
}

function listFacts(state) {
  return [
    ["Epoch", `${state.epoch}`, "epoch"],
    ["Patches out", `${state.delivered} of ${state.length}`, "patches"],
    ["Patches a second", state.patches_per_s.toFixed(1), "rate"],
    ["Volumes loaded", `${state.loads}`, "loads"],
    ["Trainer waited", percent(state.waiting_share), "waiting"],
    ["Subjects a batch", state.distinct.toFixed(2), "distinct"],
  ];
}
