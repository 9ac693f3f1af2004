// One way to walk: its settings, walks and monitors, and all that shows them.

const WALKS = 60;
const still = window.matchMedia("(prefers-reduced-motion: reduce)");
const byId = (name) => document.getElementById(name);
const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};
const percent = (share) => Math.round(100 * share) + "\u00a0%";

const SHAPES = {
  walking: (c, r) => c.arc(0, 0, r, 0, 7),
  standoff: (c, r) => c.rect(-r, -r, 2 * r, 2 * r),
  desert: (c, r) => polygon(c, [[0, -1.25], [1.15, 0.95], [-1.15, 0.95]], r),
  oscillation: (c, r) => polygon(c, [[0, -1.35], [1.35, 0], [0, 1.35], [-1.35, 0]], r),
  obnoxious: (c, r) => polygon(c, [
    [-1.2, -0.6], [-0.6, -1.2], [0, -0.6], [0.6, -1.2], [1.2, -0.6], [0.6, 0],
    [1.2, 0.6], [0.6, 1.2], [0, 0.6], [-0.6, 1.2], [-1.2, 0.6], [-0.6, 0]], r),
};

function polygon(context, corners, radius) {
  corners.forEach(([x, y], at) => context[at ? "lineTo" : "moveTo"](x * radius, y * radius));
  context.closePath();
}

function makePane(element, key) {
  const frame = element.querySelector(".frame");
  const ground = make("canvas"), top = make("canvas");
  top.setAttribute("role", "img");
  frame.replaceChildren(ground, top);
  const spark = make("canvas");
  spark.setAttribute("aria-hidden", "true");
  element.querySelector(".spark").append(spark);
  const list = element.querySelector(".alarms");
  const counts = Object.fromEntries(Object.entries(LAB.failures).map(([failure, { title }]) => {
    const count = make("span", { textContent: 0 });
    const item = make("li", {}, make("i", { className: "mark " + failure }), title + " ", count);
    list.append(item);
    return [failure, { item, count }];
  }));
  const pane = { element, key, walks: null, monitors: [], settings: null, begin, paint, draw, tell };
  return pane;

  function begin(hills, settings, seed) {
    pane.settings = settings;
    pane.hills = hills;
    pane.monitors = Array.from({ length: WALKS }, () => makeMonitor(hills.layers));
    pane.walks = startWalks(hills, settings, WALKS, seed, (walk, ...seen) => {
      pane.monitors[walk].add(...seen);
    });
  }

  function paint(map) {
    // as many pixels as the screen shows, and no more than are needed
    const size = Math.min(900, Math.round(frame.clientWidth * Math.min(devicePixelRatio || 1, 2)));
    ground.width = ground.height = top.width = top.height = Math.max(size, 40);
    paintMap(ground, map);
    const box = spark.parentElement;
    const dense = Math.min(devicePixelRatio || 1, 2);
    spark.width = Math.round(box.clientWidth * dense);
    spark.height = Math.round(box.clientHeight * dense);
  }

  function stateOf(walk) {
    const force = [...pane.monitors[walk].force.keys()];
    return force.length ? force[force.length - 1] : "walking";
  }

  function draw() {
    const { walks, hills } = pane, size = top.width, unit = size / hills.cells;
    const context = top.getContext("2d"), dense = size / frame.clientWidth;
    const [walk, halo, goal, trail] = tokens("walk", "halo", "goal", "trail");
    const radius = Math.max(2.7, Math.min(4.2, frame.clientWidth / 125)) * dense;
    const tones = { walking: walk };
    for (const failure of Object.keys(SHAPES).slice(1)) [tones[failure]] = tokens(failure);
    context.clearRect(0, 0, size, size);
    const wrap = (value) => ((value % hills.cells) + hills.cells) % hills.cells;
    const done = walks.time >= STEPS + SETTLE;
    // at the end the way that some came, before that the last steps of all
    if (done) trails(context, walks, hills, unit, trail, dense, 0, 120, 8);
    else trails(context, walks, hills, unit, trail, dense, Math.max(0, walks.time - 24), walks.time, WALKS);
    context.strokeStyle = goal;
    context.lineWidth = 2.4 * dense;
    context.beginPath();
    context.arc(size / 2, size / 2, NEAR * unit, 0, 7);
    context.stroke();
    for (let number = 0; number < WALKS; number++) {
      const x = walks.spots[2 * number], y = walks.spots[2 * number + 1];
      if (!Number.isFinite(x) || !Number.isFinite(y)) continue;
      const state = hills.distance(x, y) < NEAR ? "walking" : stateOf(number);
      context.save();
      context.translate(wrap(x) * unit, size - wrap(y) * unit);
      context.beginPath();
      SHAPES[state](context, radius);
      context.fillStyle = tones[state];
      context.strokeStyle = halo;
      context.lineWidth = radius / 2;
      context.stroke();
      context.fill();
      context.restore();
    }
    curve();
  }

  function curve() {
    const context = spark.getContext("2d"), { width, height } = spark;
    const [line, faint, soft] = tokens(key === "first" ? "one" : "two", "faint", "soft");
    const total = STEPS + SETTLE, left = 2, low = height - 3, high = 4;
    const x = (time) => left + (time / total) * (width - 2 * left);
    context.clearRect(0, 0, width, height);
    context.fillStyle = faint;
    context.fillRect(x(STEPS), 0, x(total) - x(STEPS), height);
    context.fillRect(0, low, width, 1.5);
    context.strokeStyle = line;
    context.lineWidth = Math.max(2, height / 26);
    context.lineJoin = "round";
    context.beginPath();
    pane.walks.reached.forEach((share, time) => context.lineTo(x(time), low - share * (low - high)));
    context.stroke();
    context.fillStyle = soft;
    const last = pane.walks.reached.length - 1;
    context.beginPath();
    context.fillStyle = line;
    context.arc(Math.min(x(last), width - 5), low - pane.walks.reached[last] * (low - high), 4, 0, 7);
    context.fill();
  }

  function tell() {
    const told = {};
    let latest = null;
    for (const monitor of pane.monitors) {
      for (const alarm of new Set(monitor.told.map((each) => each.failure))) {
        told[alarm] = (told[alarm] || 0) + 1;
      }
      for (const alarm of monitor.told) {
        if (!latest || alarm.step > latest.step) latest = alarm;
      }
    }
    for (const [failure, { item, count }] of Object.entries(counts)) {
      const number = told[failure] || 0;
      count.textContent = number;
      item.title = `${number} of ${WALKS} walks`;
      item.classList.toggle("fires", number > 0);
    }
    const share = pane.walks.reached[pane.walks.reached.length - 1];
    element.querySelector(".share").textContent = percent(share);
    const most = Object.entries(told).sort((a, b) => b[1] - a[1])[0];
    element.querySelector(".sentence").textContent = most ? sentence(most, latest) : pane.walks.time < WINDOW
      ? "The monitor looks at the last 200 steps, every 50 steps."
      : "No alarm so far.";
    const name = element.querySelector(".name").textContent;
    top.setAttribute("aria-label", `Map with ${WALKS} walks by ${name}: ${percent(share)} in the shared valley`
      + Object.entries(told).map(([failure, number]) => `, ${failure} ${number}`).join(""));
  }

  function sentence([failure, number]) {
    const { title, sentence: what, remedy } = LAB.failures[failure];
    const goals = failure === "obnoxious" ? ` (goal ${loudest() + 1})` : "";
    return `${title[0].toUpperCase()}${title.slice(1)}${goals} in ${number} of ${WALKS} walks: ${what}. What to do: ${remedy}.`;
  }

  function loudest() {
    const votes = {};
    for (const monitor of pane.monitors) {
      for (const alarm of monitor.told) {
        if (alarm.failure === "obnoxious") votes[alarm.goal] = (votes[alarm.goal] || 0) + 1;
      }
    }
    return +Object.entries(votes).sort((a, b) => b[1] - a[1])[0][0];
  }
}

// Some steps of some walks, the later the stronger, broken where they go round the torus.
function trails(context, walks, hills, unit, tone, dense, first, last, shown) {
  const size = unit * hills.cells, bands = 3;
  context.strokeStyle = tone;
  context.lineWidth = 1.1 * dense;
  const wrap = (value) => ((value % hills.cells) + hills.cells) % hills.cells;
  for (let band = 0; band < bands; band++) {
    const from = first + Math.floor(((last - first) * band) / bands);
    const to = first + Math.floor(((last - first) * (band + 1)) / bands);
    context.globalAlpha = 0.16 + 0.2 * band;
    context.beginPath();
    for (let walk = 0; walk < shown; walk++) {
      let beforeX = NaN, beforeY = NaN;
      for (let time = from; time <= to; time++) {
        const x = wrap(walks.paths[time][2 * walk]), y = wrap(walks.paths[time][2 * walk + 1]);
        const joined = Math.abs(x - beforeX) < hills.cells / 2 && Math.abs(y - beforeY) < hills.cells / 2;
        context[joined ? "lineTo" : "moveTo"](x * unit, size - y * unit);
        beforeX = x;
        beforeY = y;
      }
    }
    context.stroke();
  }
  context.globalAlpha = 1;
}
