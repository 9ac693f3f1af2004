// Compositions and optimisers, as `counterpoint.landscape.descend` runs them, for many walks at once.

// Weights of K layers at one place, into `weights`. `memory` holds running norms and their age
// (`counterpoint.balance.rules.Magnitude`), `lot` a number in (0, 1).
function weigh(rule, norms, weights, memory, lot, decay = 0.9) {
  const layers = norms.length;
  if (rule === "mean") return void weights.fill(1);
  if (rule === "impartial" || rule === "magnitude") {
    return void byPower(rule === "impartial" ? -1 : 1, norms, weights, memory, decay);
  }
  weights.fill(0);
  let chosen = 0;
  if (rule === "largest-gradient") {
    for (let k = 1; k < layers; k++) if (norms[k] > norms[chosen]) chosen = k;
  } else if (rule === "alternation") {
    chosen = Math.min(Math.floor(lot * layers), layers - 1);
  } else {
    let total = 0;
    for (let k = 0; k < layers; k++) total += norms[k];
    let end = norms[0];
    while (chosen < layers - 1 && lot * total >= end) end += norms[++chosen];
  }
  weights[chosen] = layers;
}

function byPower(power, norms, weights, memory, decay) {
  const layers = norms.length;
  let top = -Infinity, awake = 0;
  for (let k = 0; k < layers; k++) {
    if (norms[k] === 0) continue;
    awake++;
    memory.norms[k] = decay * memory.norms[k] + (1 - decay) * norms[k];
    memory.count[k] += 1;
    weights[k] = Math.log(memory.norms[k] / (1 - Math.pow(decay, memory.count[k])));
    top = Math.max(top, weights[k]);
  }
  let highest = -Infinity;
  for (let k = 0; k < layers; k++) {
    if (norms[k] === 0) continue;
    weights[k] = power * Math.max(weights[k] - top, Math.log(1e-8));
    highest = Math.max(highest, weights[k]);
  }
  let total = 0;
  for (let k = 0; k < layers; k++) {
    if (norms[k] !== 0) total += weights[k] = Math.exp(weights[k] - highest);
  }
  // a layer that rests has weight 1, the others share what is left
  for (let k = 0; k < layers; k++) weights[k] = norms[k] === 0 ? 1 : (weights[k] / total) * awake;
}

// torch's SGD with momentum, Adam and RMSprop on one coordinate; `a` and `b` are its memory.
const OPTIMISERS = {
  sgd: (slope, at, { a }, step, momentum, age) => {
    a[at] = age === 1 ? slope : momentum * a[at] + slope;
    return step * a[at];
  },
  adam: (slope, at, { a, b }, step, _, age) => {
    a[at] += 0.1 * (slope - a[at]);
    b[at] = 0.999 * b[at] + 0.001 * slope * slope;
    const root = Math.sqrt(b[at]) / Math.sqrt(1 - Math.pow(0.999, age)) + 1e-8;
    return (step / (1 - Math.pow(0.9, age))) * (a[at] / root);
  },
  rmsprop: (slope, at, { b }, step) => {
    b[at] = 0.99 * b[at] + 0.01 * slope * slope;
    return (step * slope) / (Math.sqrt(b[at]) + 1e-8);
  },
};

const STEPS = 640, SETTLE = 160, NEAR = 0.5;

// Walks that begin at places which only the seed decides. `advance` takes one step of all;
// `watch`, where given, is told of each before it is taken.
function startWalks(hills, settings, count, seed, watch = null, decay = 0.9) {
  const { layers, cells } = hills;
  const spots = new Float64Array(2 * count);
  const paths = [];
  const root = mixed(mixed(2, seed >>> 0), 0), lots = mixed(mixed(3, seed >>> 0), 0);
  for (let walk = 0; walk < count; walk++) {
    const own = mixed(root, walk);
    spots[2 * walk] = cells * uniform(mixed(own, 0));
    spots[2 * walk + 1] = cells * uniform(mixed(own, 1));
  }
  paths.push(Float32Array.from(spots));
  const values = new Float64Array(layers), slopes = new Float64Array(2 * layers);
  const norms = new Float64Array(layers), weights = new Float64Array(layers);
  const memories = Array.from({ length: count }, () => (
    { norms: new Float64Array(layers), count: new Float64Array(layers) }));
  const memory = { a: new Float64Array(2 * count), b: new Float64Array(2 * count) };
  const out = new Float64Array(3);
  const state = { spots, paths, time: 0, reached: [share()], advance };
  return state;

  function share() {
    let near = 0;
    for (let walk = 0; walk < count; walk++) {
      near += hills.distance(spots[2 * walk], spots[2 * walk + 1]) < NEAR;
    }
    return near / count;
  }

  function advance() {
    // at last along the mean with a small step, so that a walk ends in the valley that it is in
    const settling = state.time >= STEPS;
    const rule = settling ? "mean" : settings.rule;
    const step = settling ? settings.step / 12 : settings.step;
    const move = OPTIMISERS[settling ? "sgd" : settings.optimiser];
    const momentum = settling ? 0 : settings.momentum;
    const age = settling ? 1 : state.time + 1;
    for (let walk = 0; walk < count; walk++) {
      const x = spots[2 * walk], y = spots[2 * walk + 1];
      for (let k = 0; k < layers; k++) {
        hills.at(k, x, y, out);
        values[k] = out[0];
        slopes[2 * k] = out[1];
        slopes[2 * k + 1] = out[2];
        norms[k] = Math.sqrt(out[1] * out[1] + out[2] * out[2]);
      }
      const lot = uniform(mixed(mixed(lots, walk), state.time));
      weigh(rule, norms, weights, memories[walk], lot, decay);
      if (watch && !settling) watch(walk, x, y, values, weights, slopes, norms);
      let across = 0, up = 0;
      for (let k = 0; k < layers; k++) {
        across += weights[k] * slopes[2 * k];
        up += weights[k] * slopes[2 * k + 1];
      }
      spots[2 * walk] -= move(across / layers, 2 * walk, memory, step, momentum, age);
      spots[2 * walk + 1] -= move(up / layers, 2 * walk + 1, memory, step, momentum, age);
    }
    state.time += 1;
    paths.push(Float32Array.from(spots));
    state.reached.push(share());
  }
}
