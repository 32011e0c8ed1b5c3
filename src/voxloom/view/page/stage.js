// Subjects on the left, the queue in the middle, batches leaving on the right.

const BATCHES_SHOWN = 7;
const SMALL_CELLS_FROM = 72;
const STATES = { waiting: "waits", loading: "being loaded", queued: "in the queue", done: "done" };

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Return the classes that give a subject its colour and pattern. */
function colourOf(subject) {
  return `colour-${subject % 8} pattern-${Math.floor(subject / 8) % 4}`;
}

/** Make a list hold as many children as wanted, and return them. */
function fit(list, wanted, make) {
  while (list.children.length > wanted) list.lastElementChild.remove();
  while (list.children.length < wanted) list.append(make(list.children.length));
  return [...list.children];
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function classify(node, className) {
  if (node.className !== className) node.className = className;
}

class Stage {
  constructor(title) {
    this.root = document.getElementById("stage").content.firstElementChild.cloneNode(true);
    this.find = (selector) => this.root.querySelector(selector);
    this.find(".title").textContent = title;
    this.root.setAttribute("aria-label", title);
    this.charts = [];
    this.newest = null;
  }

  addChart(chart) {
    this.charts.push(chart);
    this.find(".charts").append(chart.root);
  }

  /** Show what is the case at one moment. */
  show(moment) {
    this.showSubjects(moment.subjects);
    this.showWorkers(moment.workers);
    this.showSlots(moment);
    this.showBatches(moment);
    this.showFacts(moment.facts);
  }

  showSubjects(subjects) {
    const make = () => {
      const chip = element("li");
      chip.append(element("span", "hidden-text", "subject "), element("span"), element("span", "hidden-text"));
      return chip;
    };
    fit(this.find(".chips"), subjects.length, make).forEach((chip, n) => {
      const { subject, state, share } = subjects[n];
      write(chip.children[1], `${subject}`);
      classify(chip, `chip ${state} ${colourOf(subject)}`);
      write(chip.lastElementChild, `: ${STATES[state]}`);
      chip.title = `subject ${subject}: ${STATES[state]}`;
      chip.style.setProperty("--share", state === "loading" ? share : 0);
    });
  }

  showWorkers(workers) {
    const make = (number) => {
      const row = element("li");
      const bar = element("span", "bar");
      bar.append(element("i"), element("b"));
      const label = element("span", "", `${number}`);
      label.prepend(element("span", "hidden-text", "worker "));
      row.append(label, bar);
      return row;
    };
    fit(this.find(".workers"), workers.length, make).forEach((row, number) => {
      const { subject, share, stage } = workers[number];
      const bar = row.querySelector(".bar");
      write(bar.querySelector("b"), subject === null ? "idle" : `${stage} ${subject}`);
      bar.style.setProperty("--share", subject === null ? 0 : share);
    });
  }

  showSlots({ slots, held, ready, maxLength }) {
    const list = this.find(".slots");
    list.classList.toggle("many", slots.length >= SMALL_CELLS_FROM);
    fit(list, slots.length, () => element("span", "cell")).forEach((cell, number) => {
      const slot = slots[number];
      write(cell, slot && !slot.isLeaving ? `${slot.subject}` : "");
      if (!slot) classify(cell, "cell");
      else if (slot.isLeaving) classify(cell, "cell leaving");
      else if (!slot.isReady) classify(cell, "cell promised");
      else classify(cell, `cell arrived ${colourOf(slot.subject)}${slot.isNext ? " next" : ""}`);
    });
    write(this.find(".queue .count"), `${ready} ready, ${held} of ${maxLength} held`);
    list.setAttribute("aria-label", describeSlots(slots, ready, maxLength));
  }

  showBatches({ batches, trainer }) {
    write(this.find(".trainer .count"), trainer);
    const list = this.find(".batches");
    const newest = batches.length ? batches[0].number : null;
    if (this.newest === newest && list.children.length === Math.min(batches.length, BATCHES_SHOWN)) return;
    this.newest = newest;
    list.replaceChildren(...batches.slice(0, BATCHES_SHOWN).map(({ number, subjects }) => {
      const row = element("li");
      row.append(element("span", "number", `${number}`), element("span", "hidden-text", " patches of subjects "));
      for (const subject of subjects) row.append(element("span", `cell ${colourOf(subject)}`, `${subject}`), " ");
      return row;
    }));
  }

  showFacts(facts) {
    const list = this.find(".facts");
    const make = () => {
      const pair = element("div");
      pair.append(element("dt"), element("dd"));
      return pair;
    };
    fit(list, facts.length, make).forEach((pair, n) => {
      const [name, value, key] = facts[n];
      write(pair.firstElementChild, name);
      write(pair.lastElementChild, value);
      pair.lastElementChild.dataset.fact = key;
    });
  }
}

function describeSlots(slots, ready, maxLength) {
  const counts = new Map();
  for (const slot of slots) {
    if (slot && slot.isReady) counts.set(slot.subject, (counts.get(slot.subject) ?? 0) + 1);
  }
  const parts = [...counts].sort(([a], [b]) => a - b).map(([subject, n]) => `${n} of subject ${subject}`);
  return `The queue: ${ready} of ${maxLength} places hold a finished patch. ${parts.join(", ")}`;
}
