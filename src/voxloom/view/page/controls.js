// Sliders and switches; their ranges are those that the library accepts.

const SLIDERS = [
  ["subjects", "Subjects", 32, 1, ""],
  ["samples_per_volume", "Samples per volume", 24, 1, ""],
  ["max_length", "max_length", 200, 1, ""],
  ["num_workers", "Workers", 8, 1, ""],
  ["load_s", "Load time", 5, 0.1, " s"],
  ["batch_size", "Batch size", 16, 1, ""],
  ["step_s", "Step time", 2, 0.05, " s"],
];
const SWITCHES = [["shuffle_subjects", "shuffle_subjects"], ["shuffle_patches", "shuffle_patches"]];
const SCHEDULES = [["spread", "spread"], ["fill", "fill"], ["both", "side by side"]];

class Controls {
  constructor(config, changed) {
    this.limits = config.limits;
    this.settings = { ...config.settings };
    this.isBoth = false;
    this.changed = changed;
    for (const slider of SLIDERS) this.addSlider(...slider);
    for (const [name, label] of SWITCHES) this.addSwitch(name, label);
    this.addSchedules();
    document.getElementById("settings").addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("settings").hidden = false;
  }

  addSlider(name, label, most, step, unit) {
    const row = element("label", "slider");
    const input = Object.assign(element("input"), {
      type: "range", id: name, min: Math.max(this.limits[name][0], unit ? step : 0), max: most, step,
    });
    input.value = this.settings[name];
    const output = element("output", "", `${this.settings[name]}${unit}`);
    output.setAttribute("for", name);
    input.setAttribute("aria-label", label + (unit ? ", seconds" : ""));
    input.addEventListener("input", () => {
      this.settings[name] = Number(input.value);
      write(output, `${this.settings[name]}${unit}`);
      this.changed();
    });
    row.htmlFor = name;
    row.append(element("span", "", label), input, output);
    document.getElementById("sliders").append(row);
  }

  addSwitch(name, label) {
    const input = Object.assign(element("input"), { type: "checkbox", id: name, checked: this.settings[name] });
    input.addEventListener("change", () => {
      this.settings[name] = input.checked;
      this.changed();
    });
    const row = element("label");
    row.append(input, label);
    document.getElementById("switches").append(row);
  }

  addSchedules() {
    const group = element("span", "choices");
    group.setAttribute("role", "radiogroup");
    group.setAttribute("aria-label", "Schedule");
    group.append(element("span", "", "schedule"));
    for (const [value, label] of SCHEDULES) {
      const input = Object.assign(element("input"), {
        type: "radio", name: "schedule", id: `schedule-${value}`, checked: value === this.settings.schedule,
      });
      input.addEventListener("change", () => {
        this.isBoth = value === "both";
        if (!this.isBoth) this.settings.schedule = value;
        this.changed();
      });
      const row = element("label");
      row.append(input, label);
      group.append(row);
    }
    document.getElementById("switches").append(group);
  }

  /** Return the settings of each stage that is to be shown. */
  wanted() {
    const schedules = this.isBoth ? ["spread", "fill"] : [this.settings.schedule];
    return schedules.map((schedule) => ({ ...this.settings, schedule }));
  }
}
