// The monitor of `counterpoint.balance.monitor` over each walk: a look every 50 steps over the last
// 200, told when three looks in a row agree. Names and formulas are those of its diagnostics.

const WINDOW = 200, EVERY = 50, CONFIRM = 3, FIRST = 20, TINY = 1e-300;

function makeMonitor(layers) {
  const size = WINDOW * layers;
  const rows = {
    losses: new Float64Array(size), weights: new Float64Array(size), norms: new Float64Array(size),
    slopes: new Float64Array(2 * size), spots: new Float64Array(2 * WINDOW),
  };
  const start = { losses: new Float64Array(FIRST * layers), norms: new Float64Array(layers) };
  let steps = 0, streak = null, agreed = 0;
  const monitor = { force: new Map(), told: [], add };
  return monitor;

  function add(x, y, values, weights, slopes, norms) {
    const at = steps % WINDOW;
    rows.losses.set(values, at * layers);
    rows.weights.set(weights, at * layers);
    rows.norms.set(norms, at * layers);
    rows.slopes.set(slopes, 2 * at * layers);
    rows.spots[2 * at] = x;
    rows.spots[2 * at + 1] = y;
    if (steps < FIRST) {
      start.losses.set(values, steps * layers);
      for (let k = 0; k < layers; k++) start.norms[k] += norms[k] / FIRST;
    }
    steps += 1;
    if (steps >= WINDOW && (steps - WINDOW) % EVERY === 0) look();
  }

  function look() {
    const seen = diagnose(rows, start, layers, steps % WINDOW);
    const word = seen ? seen.failure : null;
    agreed = word !== null && word === streak ? agreed + 1 : 1;
    streak = word;
    if (word !== null && (monitor.force.has(word) || agreed >= CONFIRM)) {
      if (!monitor.force.has(word)) monitor.told.push({ ...seen, step: steps });
      monitor.force.set(word, steps);
    }
    for (const [failure, last] of monitor.force) {
      if (steps - last >= WINDOW) monitor.force.delete(failure);
    }
  }
}

// The first failure that applies, or null; `first` is the oldest row of the ring.
function diagnose(rows, start, layers, first) {
  const H = WINDOW, K = layers;
  const row = (t) => (first + t) % H;
  const score = new Float64Array(H), harmony = new Float64Array(H);
  const scale = new Float64Array(K), early = new Float64Array(FIRST);
  for (let t = 0; t < FIRST; t++) {
    for (let k = 0; k < K; k++) scale[k] += Math.abs(start.losses[t * K + k]) / FIRST;
  }
  for (let k = 0; k < K; k++) scale[k] = Math.max(scale[k], 1e-30);
  for (let t = 0; t < FIRST; t++) {
    for (let k = 0; k < K; k++) early[t] += start.losses[t * K + k] / scale[k] / K;
  }
  const pulls = new Float64Array(H * K), sums = new Float64Array(2 * H);
  let live = 0;
  for (let t = 0; t < H; t++) {
    const base = row(t) * K;
    let whole = 0;
    for (let k = 0; k < K; k++) {
      const weight = rows.weights[base + k], pull = weight * rows.norms[base + k];
      pulls[t * K + k] = pull;
      whole += pull;
      score[t] += rows.losses[base + k] / scale[k] / K;
      sums[2 * t] += weight * rows.slopes[2 * (base + k)];
      sums[2 * t + 1] += weight * rows.slopes[2 * (base + k) + 1];
      if (t >= H / 2) live += rows.norms[base + k] / Math.max(start.norms[k], TINY);
    }
    harmony[t] = Math.hypot(sums[2 * t], sums[2 * t + 1]) / Math.max(whole, TINY);
  }
  const column = (k) => Float64Array.from({ length: H }, (_, t) => rows.losses[row(t) * K + k]);
  const columns = Array.from({ length: K }, (_, k) => column(k));
  let progress = drop(score.subarray(0, H / 2), score.subarray(H / 2));
  for (const each of columns) {
    progress = Math.max(progress, drop(each.subarray(0, H / 2), each.subarray(H / 2)) - 1);
  }
  const view = {
    K, row, rows, columns, scale, pulls, sums, harmony, progress, score, early,
    liveliness: live / (H / 2) / K, motion: motionOf(rows, row),
  };
  return standoff(view) || obnoxious(view) || oscillation(view) || desert(view);
}

function motionOf(rows, row) {
  const H = WINDOW, points = new Float64Array(2 * H), moves = new Float64Array(2 * H - 2);
  for (let t = 0; t < H; t++) {
    points[2 * t] = rows.spots[2 * row(t)];
    points[2 * t + 1] = rows.spots[2 * row(t) + 1];
  }
  for (let i = 0; i < 2 * H - 2; i++) moves[i] = points[i + 2] - points[i];
  const half = 2 * Math.floor((H - 1) / 2), size = rms(points);
  return {
    points, moves, size, speed: rms(moves) / Math.max(size, TINY),
    steady: rms(moves.subarray(half)) / Math.max(rms(moves.subarray(0, half)), TINY),
  };
}

function standoff({ K, columns, scale, harmony, liveliness }) {
  if (K < 2) return null;
  const calm = mean(harmony.subarray(WINDOW / 2));
  const change = Math.max(...columns.map((each, k) => Math.abs(
    mean(each.subarray(0, WINDOW / 2)) - mean(each.subarray(WINDOW / 2))) / scale[k]));
  if (calm >= 0.02 || liveliness <= 0.01 || change > 1e-3) return null;
  return { failure: "standoff", harmony: calm, liveliness };
}

function obnoxious({ K, row, rows, columns, scale, pulls, sums, progress, liveliness }) {
  if (K < 2 || progress >= 2 || liveliness <= 0.01) return null;
  const H = WINDOW, bursts = burstsOf(rows, row, K);
  const order = Array.from(bursts.keys()).sort((a, b) => bursts[b] - bursts[a]);
  for (const goal of order) {
    if (!(bursts[goal] > 2)) return null; // the rest are quieter still
    let capture = 0, leading = 0, against = 0, before = true;
    const changes = [];
    for (let t = 0; t < H; t++) {
      const base = row(t) * K, own = pulls[t * K + goal];
      let whole = 0;
      for (let k = 0; k < K; k++) whole += pulls[t * K + k];
      const leads = own / Math.max(whole, TINY) > 0.5;
      if (leads && !before) capture += 1;
      before = leads;
      if (!leads) continue;
      leading += 1;
      const weight = rows.weights[base + goal], norm = Math.max(rows.norms[base + goal], TINY);
      const x = rows.slopes[2 * (base + goal)], y = rows.slopes[2 * (base + goal) + 1];
      const restX = sums[2 * t] - weight * x, restY = sums[2 * t + 1] - weight * y;
      const oppose = -(restX * x + restY * y) / norm / Math.max(Math.hypot(restX, restY), 1e-150);
      if (oppose <= 0.5) continue;
      against += 1;
      if (t < H - 1) {
        let change = 0;
        for (let k = 0; k < K; k++) {
          if (k !== goal) change += (columns[k][t + 1] - columns[k][t]) / scale[k] / (K - 1);
        }
        changes.push(change);
      }
    }
    const part = against / Math.max(leading, 1), harm = inErrors(changes);
    if (capture >= 4 && part > 0.2 && harm > 3) {
      return { failure: "obnoxious", goal, capture, against: part, harm, burst: bursts[goal] };
    }
  }
  return null;
}

function oscillation({ K, row, rows, progress, motion }) {
  const { moves, steady, speed } = motion;
  if (steady <= 0.7 || speed <= 1e-6 || progress >= 2) return null;
  const H = WINDOW, auto = [];
  for (let lag = 0; lag <= Math.floor(H / 4); lag++) {
    let sum = 0;
    for (let i = 0; i < moves.length - 2 * lag; i++) sum += moves[i] * moves[i + 2 * lag];
    auto.push(sum / (H - 1 - lag));
  }
  const own = Math.max(auto.shift(), TINY);
  for (let lag = 0; lag < auto.length; lag++) auto[lag] /= own;
  const late = Math.floor(H / 8) - 1, back = Math.min(...auto), again = Math.max(...auto.slice(late));
  let square = 0;
  for (let k = 0; k < K; k++) {
    let middle = 0;
    for (let t = 0; t < H; t++) middle += rows.weights[t * K + k] / H;
    for (let t = 0; t < H; t++) square += (rows.weights[t * K + k] - middle) ** 2;
  }
  const switching = Math.sqrt(square / (H * K));
  if (again <= 0.5 || back >= (switching > 0.3 ? -0.25 : -0.6)) return null;
  const period = late + 1 + auto.slice(late).indexOf(again);
  const soon = auto.findIndex((value) => value >= again - 0.05) + 1;
  return { failure: "oscillation", period: Math.min(period, soon), again, back };
}

function desert({ progress, score, early, motion }) {
  const { points, size, steady } = motion;
  if (progress >= 2 || steady <= 0.6) return null;
  const lift = (mean(early) - mean(score)) / Math.max(Math.sqrt(variance(score)), TINY);
  if (drop(early, score) >= 2 && lift >= 1) return null;
  const long = Math.floor(WINDOW / 4), short = Math.max(1, Math.floor(WINDOW / 32));
  const far = displacement(points, long), near = displacement(points, short);
  if (near <= 0) return null;
  const spread = Math.log(far / near) / Math.log(long / short);
  const travel = Math.sqrt(far / Math.max(size * size, TINY));
  if (!(spread >= 0.35 && spread <= 1.65 && travel > 0.08)) return null;
  return { failure: "desert", spread, travel, progress };
}

function displacement(points, lag) {
  let sum = 0;
  for (let i = 0; i < points.length - 2 * lag; i++) sum += (points[i + 2 * lag] - points[i]) ** 2;
  return sum / (WINDOW - lag);
}

function burstsOf(rows, row, K) {
  const ratio = Array.from({ length: K }, (_, k) => {
    const sorted = Float64Array.from({ length: WINDOW }, (_, t) => rows.norms[row(t) * K + k]).sort();
    return quantile(sorted, 0.95) / Math.max(quantile(sorted, 0.05), TINY);
  });
  return ratio.map((own, k) => {
    const others = ratio.filter((_, other) => other !== k).sort((a, b) => a - b);
    return own / others[Math.floor((others.length - 1) / 2)];
  });
}

function inErrors(changes) {
  if (changes.length < 4) return 0;
  const middle = mean(changes), error = Math.sqrt(variance(changes) / changes.length);
  return middle / Math.max(error, 1e-3 * Math.abs(middle), TINY);
}

// Difference of means in standard errors, from means of blocks.
function drop(before, after) {
  const error = errorOf(before) + errorOf(after);
  const spread = Math.sqrt(variance([...before, ...after]));
  let size = 0;
  for (const value of after) size += Math.abs(value) / after.length;
  const floor = 0.01 * spread + 1e-4 * size;
  return (mean(before) - mean(after)) / Math.max(Math.sqrt(error), floor, TINY);
}

function errorOf(values) {
  const size = Math.max(1, Math.floor(values.length / 10)), blocks = Math.floor(values.length / size);
  const means = [];
  for (let b = 0; b < blocks; b++) means.push(mean(values.subarray(b * size, (b + 1) * size)));
  return variance(means) / blocks;
}

function mean(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

function variance(values) {
  const middle = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] - middle) ** 2;
  return sum / (values.length - 1);
}

function quantile(sorted, share) {
  const at = share * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

function rms(pairs) {
  let sum = 0;
  for (let i = 0; i < pairs.length; i++) sum += pairs[i] * pairs[i];
  return Math.sqrt(sum / (pairs.length / 2));
}
