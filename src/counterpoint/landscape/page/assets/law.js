// Valleys that the first n goals have in common, counted on a grid as `counterpoint` counts them.

const FINE = 16, RADIUS = 0.3, APART = 1;

// Which points of the grid lie near a minimum, layer by layer, and where the minima are.
function valleysOf(hills) {
  const side = hills.cells * FINE, reach = Math.floor(RADIUS * FINE), out = new Float64Array(3);
  const disc = [];
  for (let i = -reach; i <= reach; i++) {
    for (let j = -reach; j <= reach; j++) if (i * i + j * j <= (RADIUS * FINE) ** 2) disc.push([i, j]);
  }
  const round = (value) => (value + side) % side;
  return Array.from({ length: hills.layers }, (_, k) => {
    const values = new Float64Array(side * side), near = new Uint8Array(side * side), minima = [];
    for (let i = 0; i < side; i++) {
      for (let j = 0; j < side; j++) {
        hills.at(k, i / FINE, j / FINE, out);
        values[i * side + j] = out[0];
      }
    }
    for (let i = 0; i < side; i++) {
      for (let j = 0; j < side; j++) {
        let least = true;
        for (let a = -1; a <= 1 && least; a++) {
          for (let b = -1; b <= 1; b++) {
            if ((a || b) && values[i * side + j] >= values[round(i + a) * side + round(j + b)]) least = false;
          }
        }
        if (!least) continue;
        minima.push([i / FINE, j / FINE]);
        for (const [a, b] of disc) near[round(i + a) * side + round(j + b)] = 1;
      }
    }
    return { near, minima };
  });
}

// For n = 1, 2, ...: the share of the plane near a minimum of all, and the product of the shares of each.
function countLaw(hills, valleys) {
  const side = hills.cells * FINE, together = new Uint8Array(side * side).fill(1);
  const outside = new Uint8Array(side * side);
  let places = 0, chance = 1;
  for (let i = 0; i < side; i++) {
    for (let j = 0; j < side; j++) {
      outside[i * side + j] = Math.hypot(i / FINE - hills.middle, j / FINE - hills.middle) > APART;
      places += outside[i * side + j];
    }
  }
  return valleys.map(({ near }) => {
    let own = 0, common = 0;
    for (let at = 0; at < near.length; at++) {
      together[at] &= near[at];
      if (outside[at]) {
        own += near[at];
        common += together[at];
      }
    }
    chance *= own / places;
    return { common: common / places, chance };
  });
}

function commonValleys(settings) {
  const frame = document.getElementById("law-map"), input = document.getElementById("law-n");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  let kept = null;
  input.value = 3;
  input.addEventListener("input", show);

  function show() {
    const { cells, seed } = settings(), n = +input.value;
    if (!kept || kept.cells !== cells || kept.seed !== seed) {
      const hills = makeHills({ layers: 6, cells, seed, temper: 1, loud: 1 });
      const valleys = valleysOf(hills);
      kept = { cells, seed, hills, valleys, counted: countLaw(hills, valleys) };
    }
    document.getElementById("law-value").textContent = n;
    const { common, chance } = kept.counted[n - 1];
    const exact = (share) => (100 * share).toPrecision(2) + "\u00a0%";
    const text = `${n === 1 ? "One goal" : n + " goals"}: ${common ? exact(common) : "none"} of the plane `
      + `lies near a minimum of ${n === 1 ? "it" : "all"}; chance alone would leave ${exact(chance)}.`;
    document.getElementById("law-said").textContent = text;
    canvas.setAttribute("aria-label", "Map of the valleys of the first " + text);
    if (!canvas.parentElement) frame.replaceChildren(canvas);
    draw(n);
  }

  function draw(n) {
    const size = canvas.width = canvas.height = Math.round(frame.clientWidth * Math.min(devicePixelRatio || 1, 2));
    const context = canvas.getContext("2d"), { cells, valleys, counted } = kept;
    const unit = size / cells, side = cells * FINE, dot = size / side;
    const [card, one, two, ink] = tokens("card", "one", "two", "ink");
    context.fillStyle = card;
    context.fillRect(0, 0, size, size);
    const discs = (pen, { minima }) => {
      pen.beginPath();
      for (const [x, y] of minima) {
        for (const a of [-cells, 0, cells]) {
          for (const b of [-cells, 0, cells]) {
            pen.moveTo((x + a + RADIUS) * unit, size - (y + b) * unit);
            pen.arc((x + a) * unit, size - (y + b) * unit, RADIUS * unit, 0, 7);
          }
        }
      }
    };
    // what is in a disc of every goal: each cuts off what is in none of its own
    const all = document.createElement("canvas");
    all.width = all.height = size;
    const cut = all.getContext("2d");
    cut.fillStyle = two;
    valleys.slice(0, n).forEach((each, at) => {
      context.fillStyle = context.strokeStyle = one;
      discs(context, each);
      context.globalAlpha = 0.16;
      context.fill();
      context.globalAlpha = 0.3;
      context.stroke();
      cut.globalCompositeOperation = at ? "destination-in" : "source-over";
      discs(cut, each);
      cut.fill();
    });
    context.globalAlpha = 1;
    context.drawImage(all, 0, 0);
    context.strokeStyle = ink;
    context.setLineDash([size / 90, size / 90]);
    context.lineWidth = size / 300;
    context.beginPath();
    context.arc(size / 2, size / 2, unit * APART, 0, 7);
    context.stroke();
  }
}
