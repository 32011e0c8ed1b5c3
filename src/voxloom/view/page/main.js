// Which page this is: read from disk, served by the library, or on a running queue.

const LEADS = {
  disk: "Subjects are loaded by workers, their patches wait in the queue, batches leave for the trainer. "
    + "The order is the library's own plan; the times are simulated. Change something and press Start.",
  live: "What the queue does now. This page only looks: it cannot change the order, and it is served to this machine alone.",
};

async function fetchRun(settings) {
  const answer = await fetch(`run?settings=${encodeURIComponent(JSON.stringify(settings))}`);
  if (!answer.ok) throw new Error((await answer.text()) || `the server answers ${answer.status}`);
  return answer.json();
}

function begin() {
  const config = JSON.parse(document.getElementById("config").textContent);
  write(document.getElementById("lead"), LEADS[config.mode] ?? LEADS.disk);
  document.querySelector(".only-live").hidden = config.mode !== "live";
  if (config.mode === "live") {
    new Live().ask();
    return;
  }
  const player = new Player(config.mode === "served" ? fetchRun : async (settings) => simulate(settings));
  const controls = new Controls(config, () => player.load(controls.wanted()));
  player.load(controls.wanted());
  window.voxloom = { simulate, player };
}

begin();
