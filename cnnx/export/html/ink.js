'use strict';

/* Ink on paper: how much of it there is at each pixel of a picture of a digit.

   The same steps, names and numbers as cnnx/data/digit_ink.py and cnnx/data/connected_components.py, which say why.
   Masks are pictures of 0 and 1. */

const LARGEST = 400;
const SMALLEST = 120;
const FEW = 16;
const PLAIN = 40;
const WIDEST = 0.65;
const BORDER = 0.9;
const MIXED = 0.2;
const EVEN = 0.03;
const UNEVEN = 0.15;
const LEAST_CONTRAST = 0.08;
const LEAST_CLEARNESS = 4;

/* NumPy's round: halves go to the even number. */
function rounded(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

function mapped(grey, compute) {
  return picture(grey.height, grey.width, grey.values.map(compute));
}

function clipped(value) {
  return Math.min(Math.max(value, 0), 1);
}

function range(values) {
  let lowest = Infinity;
  let highest = -Infinity;
  for (const value of values) {
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
  return [lowest, highest];
}

function total(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}

function mean(values) {
  return total(values) / values.length;
}

function variance(values) {
  const middle = mean(values);
  let sum = 0;
  for (const value of values) sum += (value - middle) ** 2;
  return sum / values.length;
}

/* numpy.quantile: what lies between the two nearest of the sorted values. */
function quantile(values, part) {
  const sorted = Float32Array.from(values).sort();
  const at = part * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

function median(values) {
  return quantile(values, 0.5);
}

function scaledToWork(grey) {
  const longer = Math.max(grey.height, grey.width);
  const ratio = Math.min(Math.max(longer, SMALLEST), LARGEST) / longer;
  if (ratio === 1) return grey;
  const [height, width] = [grey.height, grey.width].map((length) => Math.max(4, rounded(length * ratio)));
  return mapped(resized(grey, height, width), clipped);
}

function darkOnLight(grey, even) {
  const surface = ground(grey, even);
  let sum = 0;
  grey.values.forEach((value, i) => {
    sum += (surface[i] - value) ** 3;
  });
  return sum > 0 ? grey : mapped(grey, (value) => 1 - value);
}

/* The ink of a picture that is dark on light, or null if none is seen. */
function inkOf(grey, even) {
  const smooth = smoothed(grey);
  let paper = closing(smooth, Math.trunc(Math.max(grey.height, grey.width) * WIDEST) | 1).values;
  if (even || quantile(paper, 0.9) - quantile(paper, 0.1) < EVEN) paper = paper.fill(median(paper));
  const ink = smooth.values.map((value, i) => (paper[i] - value) / Math.max(paper[i], 0.5));
  const [lowest, highest] = range(ink);
  if (highest - lowest < LEAST_CONTRAST) return null;
  const threshold = otsu(ink);
  const inked = ink.filter((value) => value > threshold);
  const plain = ink.filter((value) => value <= threshold);
  if (!inked.length || mean(inked) - mean(plain) < Math.max(LEAST_CONTRAST, LEAST_CLEARNESS * Math.sqrt(variance(plain)))) {
    return null;
  }
  const middle = median(plain);
  const faintest = middle + 3 * 1.48 * median(plain.map((value) => Math.abs(value - middle)));
  const strength = mean(inked) - faintest;
  return picture(grey.height, grey.width, ink.map((value) => clipped((value - faintest) / strength)));
}

/* What may be the ink on a picture that has two levels, the rarer one first; empty for one with shades. */
function inksOfTwoLevels(grey) {
  const [lowest, highest] = range(grey.values);
  if (highest - lowest < LEAST_CONTRAST) return [];
  const threshold = otsu(grey.values);
  const dark = grey.values.filter((value) => value <= threshold);
  const bright = grey.values.filter((value) => value > threshold);
  const within = [dark, bright].reduce(
    (sum, part) => sum + (part.length ? (variance(part) * part.length) / grey.values.length : 0), 0,
  );
  if (within > UNEVEN * variance(grey.values)) return [];
  const [low, high] = [median(dark), median(bright)];
  const light = mapped(grey, (value) => clipped((value - low) / (high - low)));
  const negative = mapped(light, (value) => 1 - value);
  const part = dark.length / grey.values.length;
  const inks = part < 0.5 ? [negative, light] : [light, negative];
  return Math.abs(part - 0.5) < 0.1 ? inks : inks.slice(0, 1);
}

function inkOfFewPixels(grey) {
  const middle = median(grey.values);
  const ink = mapped(grey, (value) => Math.max(middle - value, 0));
  const highest = range(ink.values)[1];
  if (highest < LEAST_CONTRAST) return null;
  const longer = Math.max(grey.height, grey.width);
  const [height, width] = [grey.height, grey.width].map((length) => Math.floor(((length + 2) * SMALLEST) / longer));
  return mapped(resized(padded(mapped(ink, (value) => value / highest), 1), height, width, 'LANCZOS'), clipped);
}

/* Where strokes are: strong ink, and weak ink that touches it. */
function strokes(ink) {
  const firm = mapped(ink, (value) => Number(value > 0.5));
  const labels = connectedComponents(mapped(ink, (value) => Number(value > 0.25)));
  const touched = new Set();
  labels.values.forEach((label, i) => {
    if (firm.values[i]) touched.add(label);
  });
  const touching = mapped(labels, (label) => Number(touched.has(label)));
  return total(touching.values) < 3 * total(firm.values) ? touching : firm;
}

/* A plane, or if the light is even a constant, through the border; a quadratic surface where that is of two kinds. */
function ground(grey, even) {
  const { height, width, values } = grey;
  const places = Array.from(values, (_, i) => i);
  const terms = (i, count) => {
    const y = -1 + (2 * Math.floor(i / width)) / (height - 1);
    const x = -1 + (2 * (i % width)) / (width - 1);
    return [1, x, y, x * x, x * y, y * y].slice(0, count);
  };
  const isBorder = (i) => {
    const [, x, y] = terms(i, 3);
    return Math.max(Math.abs(x), Math.abs(y)) > BORDER;
  };
  const fit = (chosen, count) => {
    const factors = fitted(chosen.map((i) => terms(i, count)), chosen.map((i) => values[i]));
    return Float64Array.from(places, (i) => total(terms(i, count).map((term, k) => term * factors[k])));
  };
  const border = places.filter(isBorder);
  const surface = fit(border, even ? 1 : 3);
  const unlike = border.filter((i) => Math.abs(surface[i] - values[i]) > LEAST_CONTRAST).length / border.length;
  if (even || unlike <= MIXED) return surface;
  const step = Math.max(1, Math.floor(Math.max(height, width) / 64));
  return fit(places.filter((i) => Math.floor(i / width) % step === 0 && (i % width) % step === 0), 6);
}

/* The factors of terms that come closest to values, by least absolute deviations. */
function fitted(samples, values) {
  const count = samples[0].length;
  let weights = values.map(() => 1);
  let factors = [];
  for (let step = 0; step < 20; step++) {
    const matrix = Array.from({ length: count }, () => new Array(count + 1).fill(0));
    samples.forEach((sample, i) => {
      for (let row = 0; row < count; row++) {
        const weighted = sample[row] * weights[i];
        for (let column = 0; column < count; column++) matrix[row][column] += weighted * sample[column];
        matrix[row][count] += weighted * values[i];
      }
    });
    factors = solved(matrix);
    const fit = factors;
    weights = samples.map((sample, i) => {
      let value = 0;
      for (let k = 0; k < count; k++) value += sample[k] * fit[k];
      return 1 / Math.max(Math.abs(values[i] - value), 1e-3);
    });
  }
  return factors;
}

/* The solution of linear equations, each a row with its right side last, by elimination. */
function solved(matrix) {
  const count = matrix.length;
  for (let k = 0; k < count; k++) {
    let largest = k;
    for (let row = k; row < count; row++) if (Math.abs(matrix[row][k]) > Math.abs(matrix[largest][k])) largest = row;
    [matrix[k], matrix[largest]] = [matrix[largest], matrix[k]];
    for (let row = 0; row < count; row++) {
      if (row === k) continue;
      const factor = matrix[row][k] / matrix[k][k];
      for (let column = k; column <= count; column++) matrix[row][column] -= factor * matrix[k][column];
    }
  }
  return matrix.map((row, k) => row[count] / row[k]);
}

/* Each pixel averaged with its eight neighbours, those in the middle counting most. */
function smoothed(grey) {
  return transposed(downColumns(transposed(downColumns(grey))));

  function downColumns({ height, width, values }) {
    return picture(height, width, values.map((value, i) => {
      const row = Math.floor(i / width);
      const column = i % width;
      const above = values[(row === 0 ? 1 : row - 1) * width + column];
      const below = values[(row === height - 1 ? height - 2 : row + 1) * width + column];
      return (above + below) / 4 + value / 2;
    }));
  }
}

function padded(grey, by, value = 0) {
  const larger = picture(grey.height + 2 * by, grey.width + 2 * by);
  larger.values.fill(value);
  for (let row = 0; row < grey.height; row++) {
    larger.values.set(grey.values.subarray(row * grey.width, (row + 1) * grey.width), (row + by) * larger.width + by);
  }
  return larger;
}

function cut(grey, top, bottom, left, right) {
  const part = picture(bottom - top, right - left);
  for (let row = top; row < bottom; row++) {
    part.values.set(grey.values.subarray(row * grey.width + left, row * grey.width + right), (row - top) * part.width);
  }
  return part;
}

function dilated(grey, by = 1) {
  return largestInSquares(padded(grey, by), 2 * by + 1);
}

function closing(grey, width) {
  const around = largestInSquares(padded(grey, width - 1, -1), width);
  return mapped(largestInSquares(mapped(around, (value) => -value), width), (value) => -value);
}

/* The largest value in each square of so many pixels that lies in the picture. */
function largestInSquares(grey, width) {
  let found = grey;
  for (let axis = 0; axis < 2; axis++) {
    for (let reach = 1; reach < width; ) {
      const step = Math.min(reach, width - reach);
      const { height, width: columns, values } = found;
      const larger = picture(height - step, columns);
      const apart = step * columns;
      for (let i = 0; i < larger.values.length; i++) {
        larger.values[i] = values[i] > values[i + apart] ? values[i] : values[i + apart];
      }
      found = larger;
      reach += step;
    }
    found = transposed(found);
  }
  return found;
}

/* The threshold that separates values into two classes with the largest variance between them. */
function otsu(values) {
  const bins = 256;
  const [lowest, highest] = range(values);
  const size = (highest - lowest) / bins;
  const counts = new Float64Array(bins);
  for (const value of values) counts[Math.min(Math.floor((value - lowest) / size), bins - 1)]++;
  const all = values.length;
  let sum = 0;
  for (let i = 0; i < bins; i++) sum += counts[i] * (lowest + (i + 0.5) * size);
  const between = [];
  for (let i = 0, below = 0, sumBelow = 0; i < bins; i++) {
    below += counts[i];
    sumBelow += counts[i] * (lowest + (i + 0.5) * size);
    const above = all - below;
    between.push(below && above ? below * above * (sumBelow / below - (sum - sumBelow) / above) ** 2 : -1);
  }
  const most = Math.max(...between);
  const best = between.flatMap((value, i) => (value >= most * (1 - 1e-9) ? [i] : []));
  return lowest + (best[Math.floor(best.length / 2)] + 1) * size;
}

/* Number the parts of a mask that are connected, also at corners, from 1 on. */
function connectedComponents(mask) {
  const { height, width, values } = mask;
  const labels = picture(height, width, new Int32Array(height * width));
  let count = 0;
  for (let start = 0; start < values.length; start++) {
    if (!values[start] || labels.values[start]) continue;
    labels.values[start] = ++count;
    const waiting = [start];
    while (waiting.length) {
      const i = waiting.pop();
      const [row, column] = [Math.floor(i / width), i % width];
      for (let r = Math.max(row - 1, 0); r <= Math.min(row + 1, height - 1); r++) {
        for (let c = Math.max(column - 1, 0); c <= Math.min(column + 1, width - 1); c++) {
          const next = r * width + c;
          if (values[next] && !labels.values[next]) {
            labels.values[next] = count;
            waiting.push(next);
          }
        }
      }
    }
  }
  return labels;
}

/* The boxes of components, [top, bottom, left, right], and their areas. */
function boundingBoxes(labels) {
  const boxes = [];
  const areas = [];
  labels.values.forEach((label, i) => {
    if (!label) return;
    const [row, column] = [Math.floor(i / labels.width), i % labels.width];
    const box = (boxes[label - 1] ??= [labels.height, 0, labels.width, 0]);
    box[0] = Math.min(box[0], row);
    box[1] = Math.max(box[1], row + 1);
    box[2] = Math.min(box[2], column);
    box[3] = Math.max(box[3], column + 1);
    areas[label - 1] = (areas[label - 1] ?? 0) + 1;
  });
  return [boxes, areas];
}
