// Lines over time: what was in full colour, what will be in a faint one.

const WIDTH = 1000;
const HEIGHT = 100;

function svgElement(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

class Chart {
  constructor(title, format) {
    this.title = title;
    this.format = format;
    this.points = [];
    this.root = element("figure");
    this.now = element("span", "now");
    const caption = element("figcaption", "", title);
    caption.append(this.now);
    this.axis = element("div", "axis");
    this.axis.setAttribute("aria-hidden", "true");
    this.axis.append(element("span"), element("span"));
    this.svg = svgElement("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.svg.setAttribute("aria-label", title);
    const plot = element("div", "plot");
    plot.append(this.axis, this.svg);
    this.root.append(caption, plot);
  }

  /** Draw steps through points (time, value), each of which holds until the next. */
  draw(points, duration, most, bound = null) {
    this.points = points;
    this.scale = WIDTH / (duration || 1);
    const top = most * 1.08 || 1;
    const height = (value) => HEIGHT - (HEIGHT * value) / top;
    let path = "";
    for (const [time, value] of points) {
      const [x, y] = [(time * this.scale).toFixed(2), height(value).toFixed(2)];
      path += path ? `H${x}V${y}` : `M${x} ${y}`;
    }
    if (points.length) path += `H${WIDTH}`;
    const clip = `past-${Chart.made += 1}`;
    this.window = svgElement("rect", { x: 0, y: -5, width: 0, height: HEIGHT + 10 });
    const clipping = svgElement("clipPath", { id: clip });
    clipping.append(this.window);
    this.head = svgElement("path", { class: "head" });
    this.svg.replaceChildren(clipping, svgElement("path", { class: "future", d: path }));
    if (bound !== null) {
      this.svg.append(svgElement("path", { class: "bound", d: `M0 ${height(bound)}H${WIDTH}` }));
    }
    this.svg.append(svgElement("path", { class: "past", d: path, "clip-path": `url(#${clip})` }), this.head);
    write(this.axis.firstElementChild, this.format(most));
    write(this.axis.lastElementChild, this.format(0));
  }

  /** Say what the value is at a time, and show which part is past. */
  moveTo(time) {
    const x = Math.min(time * this.scale, WIDTH);
    this.window.setAttribute("width", x);
    this.head.setAttribute("d", `M${x} 0V${HEIGHT}`);
    const last = lastBefore(this.points, time, ([when]) => when);
    const text = last < 0 ? "–" : this.format(this.points[last][1]);
    write(this.now, text);
    this.svg.setAttribute("aria-label", `${this.title}: now ${text}`);
  }
}

Chart.made = 0;

/** Return the index of the last item whose time is not after `time`, or -1. Times rise. */
function lastBefore(items, time, when) {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (when(items[middle]) <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
