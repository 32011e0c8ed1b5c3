// The plan of voxloom.loading.plan_epoch, for pages that are read without Python. A test holds
// it to the library's, number by number.

const JITTER = 0.5;
const GROWTH = 0.3;
const [FEWEST_OPEN, MOST_OPEN] = [4, 8];

function count(length) {
  return Array.from({ length }, (_, n) => n);
}

/** Return the order that sorts the keys; equal ones keep theirs. */
function orderBy(keys) {
  return count(keys.length).sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b));
}

/** Return the most patches held when each group is made whole right before its first leaves. */
function findPeak(groups) {
  const sizes = new Map();
  for (const group of groups) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  let held = 0;
  let peak = 0;
  groups.forEach((group) => {
    held += sizes.get(group);
    sizes.set(group, 0);
    peak = Math.max(peak, held);
    held -= 1;
  });
  return peak;
}

function planInOrder(ranks, steps, bound) {
  const portions = steps.map((step) => Math.floor(step / bound));
  const most = Math.max(...portions) + 1;
  return { order: count(ranks.length), groups: ranks.map((rank, n) => rank * most + portions[n]) };
}

function planFill(ranks, words, bound) {
  const blocks = ranks.map((_, n) => Math.floor(n / bound));
  const order = count(ranks.length).sort((a, b) => {
    if (blocks[a] !== blocks[b]) return blocks[a] - blocks[b];
    return words[a] < words[b] ? -1 : words[a] > words[b] ? 1 : a - b;
  });
  const subjects = ranks[ranks.length - 1] + 1;
  return { order, groups: ranks.map((rank, n) => blocks[n] * subjects + rank) };
}

function planSpread(ranks, steps, words, bound, epoch) {
  const times = steps.map((step, n) => {
    const drawn = Number(words[n] >> 11n) / 2 ** 53;
    return step + (1 - JITTER) / 2 + JITTER * drawn;
  });
  const subjects = ranks[ranks.length - 1] + 1;
  const first = Math.min(Math.max(FEWEST_OPEN, subjects / 40), MOST_OPEN);
  let window = Math.min((2 * bound * subjects) / ranks.length, 4 * subjects);
  while (window > 1) {
    const keys = times.map((time, n) => {
      const widest = first + GROWTH * (epoch * subjects + ranks[n]);
      return n - steps[n] + time * Math.min(window, widest);
    });
    const order = orderBy(keys);
    if (findPeak(order.map((n) => ranks[n])) <= bound) return { order, groups: ranks };
    window *= window > 2 ? 0.97 : 0.9;
  }
  return planInOrder(ranks, steps, bound);
}

/** Give each group a number that rises with the place of its first member. */
function renumber(groups) {
  const numbers = new Map();
  return groups.map((group) => {
    if (!numbers.has(group)) numbers.set(group, numbers.size);
    return numbers.get(group);
  });
}

function schedule(settings, ranks, steps, epoch) {
  const bound = settings.max_length;
  const words = drawWords(settings.seed, "order of patches", 0, ranks.length, epoch);
  if (!settings.shuffle_patches) return planInOrder(ranks, steps, bound);
  if (settings.schedule === "fill") return planFill(ranks, words, bound);
  return planSpread(ranks, steps, words, bound, epoch);
}

/** Return the patches of an epoch in the order in which they leave. */
function planEpoch(settings, epoch) {
  const samples = settings.samples_per_volume;
  let visits = count(settings.subjects);
  if (settings.shuffle_subjects) {
    visits = orderBy(drawWords(settings.seed, "order of subjects", "", settings.subjects, epoch));
  }
  const places = count(settings.subjects * samples);
  const ranks = places.map((place) => Math.floor(place / samples));
  const steps = places.map((place) => place % samples);
  const { order, groups } = schedule(settings, ranks, steps, epoch);
  return {
    epoch,
    subjects: order.map((n) => visits[ranks[n]]),
    patches: order.map((n) => steps[n]),
    residencies: renumber(order.map((n) => groups[n])),
  };
}
