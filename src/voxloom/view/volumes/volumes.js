// Volumes by NiiVue: the page asks its server for what is chosen, and for nothing else.

const config = JSON.parse(document.getElementById("config").textContent);
const find = (id) => document.getElementById(id);
const NONE = "";
const AXES = ["x", "y", "z"];
const THREE_PLANES = 3;

// Labels and boxes take the colours in turn; 0 is clear. The server sends labels from 0 to 28. Each
// has a band of eight entries, in the middle of which it lies, so that no colours are mixed.
const LABELS = "voxloom-labels";
const BANDS = 32;
const BAND = 8;

function colourMap() {
  const map = { R: [], G: [], B: [], A: [], I: [] };
  for (let entry = 0; entry < BANDS * BAND; entry += 1) {
    const label = Math.floor(entry / BAND);
    const code = config.colours[label ? ((label - 1) % (config.colours.length - 1)) + 1 : 0];
    const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(code.slice(at, at + 2), 16));
    map.R.push(r);
    map.G.push(g);
    map.B.push(b);
    map.A.push(label ? 255 : 0);
    map.I.push(entry);
  }
  return map;
}

const isFolded = new WeakMap(); // whether labels were too many, and several share a number

class Viewer {
  constructor() {
    this.niivue = new niivue.Niivue({
      backColor: [0, 0, 0, 1],
      crosshairColor: [1, 1, 1, 0.7],
      crosshairWidth: 1,
      dragAndDropEnabled: false,
      isNearestInterpolation: true,
      isRadiologicalConvention: false,
      loadingText: "",
      logLevel: "error",
      multiplanarShowRender: niivue.SHOW_RENDER.ALWAYS,
      show3Dcrosshair: true,
    });
    this.niivue.onLocationChange = (place) => this.tellPlace(place);
    this.number = 0; // of the last choice: what an earlier one brings late is not shown
  }

  async begin() {
    await this.niivue.attachToCanvas(find("view"));
    this.niivue.addColormap(LABELS, colourMap());
    fill(find("subject"), config.subjects.map(({ name }, number) => [`${number}`, name]));
    find("boxes-choice").hidden = !config.hasPatches;
    find("subject").addEventListener("change", () => this.chooseSubject());
    for (const id of ["image", "labels", "boxes"]) find(id).addEventListener("change", () => this.load());
    find("opacity").addEventListener("input", () => this.setOpacity());
    find("layout").addEventListener("change", () => this.niivue.setSliceType(Number(find("layout").value)));
    for (const id of AXES) find(id).addEventListener("input", () => this.movePlanes());
    this.niivue.setSliceType(THREE_PLANES);
    await this.chooseSubject();
  }

  async chooseSubject() {
    const { images } = config.subjects[Number(find("subject").value)];
    const marked = images.filter(({ isLabel }) => isLabel).map(({ name }) => [name, name]);
    const grey = images.filter(({ isLabel }) => !isLabel).map(({ name }) => [name, name]);
    fill(find("image"), grey.length ? grey : marked);
    fill(find("labels"), [...(grey.length ? marked : []), [NONE, "none"]]);
    await this.load();
  }

  async load() {
    this.number += 1;
    const number = this.number;
    find("view").setAttribute("aria-busy", "true");
    try {
      const shown = await this.fetchAll();
      if (number !== this.number) return;
      await this.show(shown);
      say("");
    } catch (error) {
      if (number === this.number) say(`This cannot be shown: ${error.message}`);
    }
    if (number === this.number) find("view").removeAttribute("aria-busy");
  }

  async fetchAll() {
    const subject = find("subject").value;
    const image = await fetchVolume(`volume?subject=${subject}&image=${encodeURIComponent(find("image").value)}`);
    const labels = find("labels").value === NONE ? null
      : await fetchVolume(`volume?subject=${subject}&image=${encodeURIComponent(find("labels").value)}`);
    let patches = null;
    let boxes = null;
    if (config.hasPatches) {
      patches = await (await ask(`patches?subject=${subject}`)).json();
      if (find("boxes").checked) boxes = await fetchVolume(`boxes?subject=${subject}`);
    }
    return { image, labels, boxes, patches };
  }

  async show({ image, labels, boxes, patches }) {
    for (const volume of [...this.niivue.volumes].reverse()) this.niivue.removeVolume(volume);
    const isLabel = this.showsLabelsAlone();
    this.niivue.addVolume(await makeVolume(image, "image.nii", isLabel));
    this.labels = labels ? await makeVolume(labels, "labels.nii", true) : null;
    this.tellsLabels = Boolean(labels) && !isFolded.get(labels);
    if (this.labels) this.niivue.addVolume(this.labels);
    if (boxes) this.niivue.addVolume(await makeVolume(boxes, "boxes.nii", true));
    this.setOpacity();
    this.listPatches(patches);
    this.niivue.createOnLocationChange();
    const names = [find("image").value, find("labels").value, boxes ? "boxes of patches" : ""].filter(Boolean);
    find("view").setAttribute("aria-label", `Subject ${find("subject").selectedOptions[0].text}: ${names.join(", ")}`);
  }

  showsLabelsAlone() {
    const { images } = config.subjects[Number(find("subject").value)];
    return images.find(({ name }) => name === find("image").value).isLabel;
  }

  setOpacity() {
    const at = this.niivue.volumes.indexOf(this.labels);
    if (at >= 0) this.niivue.setOpacity(at, Number(find("opacity").value));
  }

  movePlanes() {
    this.moveTo(AXES.map((id) => Number(find(id).value)));
  }

  moveTo(fraction) {
    if (!this.niivue.volumes.length) return;
    this.niivue.scene.crosshairPos = fraction;
    this.niivue.createOnLocationChange();
    this.niivue.drawScene();
  }

  tellPlace({ mm, frac, values }) {
    AXES.forEach((id, axis) => {
      find(id).value = `${frac[axis]}`;
      find(id).setAttribute("aria-valuetext", `${mm[axis].toFixed(1)} mm`);
    });
    const [image, labels] = values.map(({ value }) => Number(value));
    const lines = [`${[...mm].slice(0, 3).map((n) => n.toFixed(1)).join(", ")} mm (right, front, head)`,
      `${find("image").value}: ${Number(image.toPrecision(5))}`];
    if (this.tellsLabels && labels !== undefined) lines.push(`${find("labels").value}: ${labels}`);
    find("place").textContent = lines.join("\n");
  }

  listPatches(patches) {
    find("patches").hidden = !patches;
    if (!patches) return;
    find("patch-list").replaceChildren(...patches.centres.map((centre, number) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.append(swatch(number + 1), patches.locations[number].slice(0, 3).join(", "));
      button.addEventListener("click", () => this.moveTo(this.niivue.mm2frac(centre)));
      item.append(button);
      return item;
    }));
  }
}

function swatch(label) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  const square = document.createElementNS(space, "rect");
  const code = config.colours[((label - 1) % (config.colours.length - 1)) + 1];
  for (const [name, value] of [["width", "100%"], ["height", "100%"], ["fill", code]]) square.setAttribute(name, value);
  picture.setAttribute("aria-hidden", "true");
  picture.append(square);
  return picture;
}

async function makeVolume(buffer, name, isLabel) {
  if (!isLabel) return niivue.NVImage.loadFromUrl({ url: buffer, name, colormap: "gray" });
  const volume = await niivue.NVImage.loadFromUrl({ url: buffer, name, colormap: LABELS });
  volume.cal_min = -0.5;
  volume.cal_max = BANDS - 0.5;
  return volume;
}

async function fetchVolume(path) {
  const answer = await ask(path);
  const voxels = await answer.arrayBuffer();
  isFolded.set(voxels, answer.headers.get("Content-Type").includes("folded"));
  return voxels;
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.text()) || `the server answers ${answer.status}`);
  return answer;
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
}

function say(text) {
  find("problem").textContent = text;
  find("problem").hidden = !text;
}

const viewer = new Viewer();
window.voxloomView = viewer;
viewer.begin().catch((error) => say(`This browser cannot show volumes: ${error.message}`));
