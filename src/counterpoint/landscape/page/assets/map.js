// A map of a composite: values on a grid, shades, contours and a little light.

const SHADES = 12, GRID = 24;

// Values of a composite on a grid that covers the torus, first along x; `view` is a layer's number,
// or -1 for the mean of all.
function sampleMap(hills, view, fine = GRID) {
  const side = hills.cells * fine, values = new Float64Array(side * side), out = new Float64Array(3);
  const layers = view < 0 ? Array.from({ length: hills.layers }, (_, k) => k) : [view];
  for (const k of layers) {
    for (let i = 0; i < side; i++) {
      for (let j = 0; j < side; j++) {
        hills.at(k, i / fine, j / fine, out);
        values[i * side + j] += out[0] / layers.length;
      }
    }
  }
  return { side, values };
}

// Where one shade ends and the next begins: between even steps and even shares of the plane.
function shadeLevels(values) {
  const ordered = Float64Array.from(values).sort(), last = ordered.length - 1;
  return Array.from({ length: SHADES - 1 }, (_, at) => {
    const share = (at + 1) / SHADES;
    const even = ordered[0] + share * (ordered[last] - ordered[0]);
    return (even + ordered[Math.min(Math.floor(share * ordered.length), last)]) / 2;
  });
}

function tokens(...names) {
  const style = getComputedStyle(document.documentElement);
  return names.map((name) => style.getPropertyValue("--" + name).trim());
}

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

// Shades with thin contours and a little light from the upper left, pixel by pixel.
function paintMap(canvas, map) {
  const { side, values } = map, size = canvas.width, context = canvas.getContext("2d");
  const shades = tokens(...Array.from({ length: SHADES }, (_, at) => "s" + at)).map(rgb);
  const levels = shadeLevels(values), lights = lightOf(map, levels);
  const image = context.createImageData(size, size), pixels = image.data;
  const ranks = new Uint8Array(size * size), bright = new Float32Array(size * size);
  const scale = side / size;
  for (let row = 0; row < size; row++) {
    const y = (size - 1 - row) * scale, j = Math.floor(y), b = y - j, above = (j + 1) % side;
    for (let column = 0; column < size; column++) {
      const x = column * scale, i = Math.floor(x), a = x - i;
      const here = i * side, next = ((i + 1) % side) * side, at = row * size + column;
      const w00 = (1 - a) * (1 - b), w01 = (1 - a) * b, w10 = a * (1 - b), w11 = a * b;
      const value = w00 * values[here + j] + w01 * values[here + above]
        + w10 * values[next + j] + w11 * values[next + above];
      bright[at] = w00 * lights[here + j] + w01 * lights[here + above]
        + w10 * lights[next + j] + w11 * lights[next + above];
      let rank = 0;
      while (rank < SHADES - 1 && value >= levels[rank]) rank++;
      ranks[at] = rank;
    }
  }
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const at = row * size + column;
      const right = column + 1 < size ? at + 1 : at, down = row + 1 < size ? at + size : at;
      const edge = ranks[at] !== ranks[right] || ranks[at] !== ranks[down] ? 0.9 : 1;
      const shade = shades[ranks[at]];
      for (let part = 0; part < 3; part++) pixels[4 * at + part] = shade[part] * bright[at] * edge;
      pixels[4 * at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}

// How bright each place of the grid is: slopes that face the upper left are lit.
function lightOf({ side, values }, levels) {
  const spread = levels[SHADES - 2] - levels[0] || 1, lights = new Float32Array(side * side);
  const fine = side / 6; // as steep on a map of any number of cells
  for (let i = 0; i < side; i++) {
    const left = ((i + side - 1) % side) * side, right = ((i + 1) % side) * side;
    for (let j = 0; j < side; j++) {
      const low = (j + side - 1) % side, high = (j + 1) % side;
      const across = values[right + j] - values[left + j];
      const up = values[i * side + high] - values[i * side + low];
      lights[i * side + j] = 1 + Math.max(-0.1, Math.min(0.1, ((across - up) / spread) * fine * 0.022));
    }
  }
  return lights;
}
