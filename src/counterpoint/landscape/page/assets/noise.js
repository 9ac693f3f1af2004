"use strict";
// The fields of `counterpoint.landscape.noise.Perlin` and `Aligned`, to rounding: the same hash,
// the same lattice, the same lowest points.

function mixed(state, value) {
  let word = ((state ^ value) + 0x9e3779b9) >>> 0;
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b) >>> 0;
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35) >>> 0;
  return (word ^ (word >>> 16)) >>> 0;
}

function uniform(word) {
  return (word + 0.5) / 4294967296;
}

// A unit vector for each corner of each layer, x and y side by side.
function latticeVectors(layers, cells, seed) {
  const root = mixed(0, seed >>> 0);
  return Array.from({ length: layers }, (_, layer) => {
    const vectors = new Float64Array(2 * cells * cells);
    const own = mixed(root, layer);
    for (let row = 0; row < cells * cells; row++) {
      const angle = 2 * Math.PI * uniform(mixed(mixed(own, row), 2));
      vectors[2 * row] = Math.cos(angle);
      vectors[2 * row + 1] = Math.sin(angle);
    }
    return vectors;
  });
}

// Value and slope of one layer at (x, y), into `out`.
function perlin(vectors, cells, x, y, out) {
  const column = Math.floor(x), line = Math.floor(y);
  const a = x - column, b = y - line;
  const left = ((column % cells) + cells) % cells, low = ((line % cells) + cells) % cells;
  const right = left + 1 === cells ? 0 : left + 1, high = low + 1 === cells ? 0 : low + 1;
  const c00 = 2 * (left * cells + low), c01 = 2 * (left * cells + high);
  const c10 = 2 * (right * cells + low), c11 = 2 * (right * cells + high);
  const h00 = vectors[c00] * a + vectors[c00 + 1] * b;
  const h01 = vectors[c01] * a + vectors[c01 + 1] * (b - 1);
  const h10 = vectors[c10] * (a - 1) + vectors[c10 + 1] * b;
  const h11 = vectors[c11] * (a - 1) + vectors[c11 + 1] * (b - 1);
  const u = a * a * a * (a * (6 * a - 15) + 10), v = b * b * b * (b * (6 * b - 15) + 10);
  const du = 30 * a * a * (a - 1) * (a - 1), dv = 30 * b * b * (b - 1) * (b - 1);
  const w00 = (1 - u) * (1 - v), w01 = (1 - u) * v, w10 = u * (1 - v), w11 = u * v;
  out[0] = w00 * h00 + w01 * h01 + w10 * h10 + w11 * h11;
  out[1] = w00 * vectors[c00] + w01 * vectors[c01] + w10 * vectors[c10] + w11 * vectors[c11]
    + du * ((1 - v) * (h10 - h00) + v * (h11 - h01));
  out[2] = w00 * vectors[c00 + 1] + w01 * vectors[c01 + 1]
    + w10 * vectors[c10 + 1] + w11 * vectors[c11 + 1]
    + dv * ((1 - u) * (h01 - h00) + u * (h11 - h10));
}

// Points of a grid over the torus that are lower than their eight neighbours.
function gridMinima(vectors, cells, fine) {
  const side = cells * fine, out = new Float64Array(3), values = new Float64Array(side * side);
  for (let i = 0; i < side; i++) {
    for (let j = 0; j < side; j++) {
      perlin(vectors, cells, i / fine, j / fine, out);
      values[i * side + j] = out[0];
    }
  }
  const found = [];
  for (let i = 0; i < side; i++) {
    const above = ((i + side - 1) % side) * side, here = i * side, below = ((i + 1) % side) * side;
    for (let j = 0; j < side; j++) {
      const value = values[here + j], p = (j + side - 1) % side, n = (j + 1) % side;
      if (value < values[above + p] && value < values[above + j] && value < values[above + n]
        && value < values[here + p] && value < values[here + n]
        && value < values[below + p] && value < values[below + j] && value < values[below + n]) {
        found.push([i / fine, j / fine, value]);
      }
    }
  }
  return found;
}

// Newton's method with second derivatives by differences, after a few plain steps.
function polished(vectors, cells, point) {
  let [x, y] = point;
  const here = new Float64Array(3), ahead = new Float64Array(3), behind = new Float64Array(3);
  const h = 1e-5 * cells;
  for (let step = 0; step < 20; step++) {
    perlin(vectors, cells, x, y, here);
    x -= 0.02 * here[1];
    y -= 0.02 * here[2];
  }
  for (let step = 0; step < 8; step++) {
    perlin(vectors, cells, x, y, here);
    perlin(vectors, cells, x + h, y, ahead);
    perlin(vectors, cells, x - h, y, behind);
    const xx = (ahead[1] - behind[1]) / (2 * h), across = (ahead[2] - behind[2]) / (2 * h);
    perlin(vectors, cells, x, y + h, ahead);
    perlin(vectors, cells, x, y - h, behind);
    const yy = (ahead[2] - behind[2]) / (2 * h);
    const xy = (across + (ahead[1] - behind[1]) / (2 * h)) / 2;
    const determinant = xx * yy - xy * xy;
    if (!(determinant > 0 && xx > 0)) break;
    x -= (yy * here[1] - xy * here[2]) / determinant;
    y -= (xx * here[2] - xy * here[1]) / determinant;
  }
  perlin(vectors, cells, x, y, here);
  return [x, y, here[0]];
}

function lowest(vectors, cells) {
  const minima = gridMinima(vectors, cells, 16);
  const least = Math.min(...minima.map((found) => found[2]));
  // what is a little higher on the grid may be lower between its points
  const close = minima.filter((found) => found[2] < least + 0.03);
  return close.map((found) => polished(vectors, cells, found)).reduce((a, b) => (b[2] < a[2] ? b : a));
}

// Layers that are all lowest, and 0, at the middle of the torus. The first may have a temper:
// loud * L^temper, quiet in the valley and sudden on the hills.
function makeHills({ layers, cells, seed, temper, loud }) {
  const vectors = latticeVectors(layers, cells, seed);
  const shifts = vectors.map((own) => lowest(own, cells));
  const middle = cells / 2;
  return {
    layers, cells, middle, shifts, vectors,
    at(layer, x, y, out) {
      const [shiftX, shiftY, least] = shifts[layer];
      perlin(vectors[layer], cells, x - middle + shiftX, y - middle + shiftY, out);
      out[0] -= least;
      if (layer === 0 && (temper !== 1 || loud !== 1)) {
        const value = Math.max(out[0], 0);
        const slope = loud * temper * Math.pow(value, temper - 1);
        out[0] = loud * Math.pow(value, temper);
        out[1] *= slope;
        out[2] *= slope;
      }
    },
    distance(x, y) {
      const a = x - middle, b = y - middle;
      return Math.hypot(a - cells * Math.round(a / cells), b - cells * Math.round(b / cells));
    },
  };
}
