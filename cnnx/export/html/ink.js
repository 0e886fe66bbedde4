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
  for (let i = 0; i < values.length; i++) {
    if (values[i] < lowest) lowest = values[i];
    if (values[i] > highest) highest = values[i];
  }
  return [lowest, highest];
}

function total(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
}

function mean(values) {
  return total(values) / values.length;
}

function variance(values) {
  const middle = mean(values);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] - middle) ** 2;
  return sum / values.length;
}

/* numpy.quantile: what lies between the two nearest of the sorted values. */
function quantile(values, part) {
  const copy = new Float32Array(values);
  const at = part * (copy.length - 1);
  const below = smallest(copy, Math.floor(at));
  return at % 1 === 0 ? below : below + (smallest(copy, Math.ceil(at)) - below) * (at % 1);
}

/* The value that is at place k when values are sorted, which reorders them. Source: C. A. R. Hoare, "Find", 1961. */
function smallest(values, k) {
  let first = 0;
  let last = values.length - 1;
  while (first < last) {
    const pivot = values[(first + last) >> 1];
    let i = first;
    let j = last;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i <= j) {
        const value = values[i];
        values[i++] = values[j];
        values[j--] = value;
      }
    }
    if (k <= j) last = j;
    else if (k >= i) first = i;
    else break;
  }
  return values[k];
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
  if (
    !inked.length ||
    mean(inked) - mean(plain) < Math.max(LEAST_CONTRAST, LEAST_CLEARNESS * Math.sqrt(variance(plain)))
  ) {
    return null;
  }
  const middle = median(plain);
  const faintest = middle + 3 * 1.48 * median(plain.map((value) => Math.abs(value - middle)));
  const strength = mean(inked) - faintest;
  return picture(
    grey.height,
    grey.width,
    ink.map((value) => clipped((value - faintest) / strength)),
  );
}

/* What may be the ink on a picture that has two levels, the rarer one first; empty for one with shades. */
function inksOfTwoLevels(grey) {
  const [lowest, highest] = range(grey.values);
  if (highest - lowest < LEAST_CONTRAST) return [];
  const threshold = otsu(grey.values);
  const dark = grey.values.filter((value) => value <= threshold);
  const bright = grey.values.filter((value) => value > threshold);
  const within = [dark, bright].reduce(
    (sum, part) => sum + (part.length ? (variance(part) * part.length) / grey.values.length : 0),
    0,
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
  return mapped(
    resized(
      padded(
        mapped(ink, (value) => value / highest),
        1,
      ),
      height,
      width,
      'LANCZOS',
    ),
    clipped,
  );
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
  const isBorder = (y, x) => Math.max(Math.abs(x), Math.abs(y)) > BORDER;
  const border = chosenPlaces(grey, (row, column) => isBorder(between(row, height), between(column, width)));
  const surface = surfaceOf(grey, fitted(grey, border, even ? 1 : 3));
  const unlike = border.filter((i) => Math.abs(surface[i] - values[i]) > LEAST_CONTRAST).length / border.length;
  if (even || unlike <= MIXED) return surface;
  const step = Math.max(1, Math.floor(Math.max(height, width) / 64));
  return surfaceOf(
    grey,
    fitted(
      grey,
      chosenPlaces(grey, (row, column) => row % step === 0 && column % step === 0),
      6,
    ),
  );
}

/* Where a row or column is, from -1 for the first to 1 for the last. */
function between(place, size) {
  return -1 + (2 * place) / (size - 1);
}

function chosenPlaces({ height, width }, isChosen) {
  const places = [];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) if (isChosen(row, column)) places.push(row * width + column);
  }
  return places;
}

/* Write 1, x, y, x x, x y, y y of a place into `terms`, as many as it has room for. */
function writeTerms(terms, grey, i) {
  const y = between(Math.floor(i / grey.width), grey.height);
  const x = between(i % grey.width, grey.width);
  terms[0] = 1;
  if (terms.length > 1) [terms[1], terms[2]] = [x, y];
  if (terms.length > 3) [terms[3], terms[4], terms[5]] = [x * x, x * y, y * y];
}

function surfaceOf(grey, factors) {
  const terms = new Float64Array(factors.length);
  const surface = new Float64Array(grey.values.length);
  for (let i = 0; i < surface.length; i++) {
    writeTerms(terms, grey, i);
    for (let k = 0; k < terms.length; k++) surface[i] += terms[k] * factors[k];
  }
  return surface;
}

/* The factors of so many terms that come closest to the values at places, by least absolute deviations. */
function fitted(grey, places, count) {
  const terms = new Float64Array(count);
  const weights = new Float64Array(places.length).fill(1);
  let factors = new Float64Array(count);
  for (let step = 0; step < 20; step++) {
    const matrix = Array.from({ length: count }, () => new Float64Array(count + 1));
    for (let i = 0; i < places.length; i++) {
      writeTerms(terms, grey, places[i]);
      for (let row = 0; row < count; row++) {
        const weighted = terms[row] * weights[i];
        for (let column = 0; column < count; column++) matrix[row][column] += weighted * terms[column];
        matrix[row][count] += weighted * grey.values[places[i]];
      }
    }
    const before = factors;
    factors = solved(matrix);
    for (let i = 0; i < places.length; i++) {
      writeTerms(terms, grey, places[i]);
      let value = 0;
      for (let k = 0; k < count; k++) value += terms[k] * factors[k];
      weights[i] = 1 / Math.max(Math.abs(grey.values[places[i]] - value), 1e-3);
    }
    if (step > 0 && factors.every((factor, k) => factor === before[k])) break;
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
  return Float64Array.from(matrix, (row, k) => row[count] / row[k]);
}

/* Each pixel averaged with its eight neighbours, those in the middle counting most. */
function smoothed(grey) {
  return transposed(downColumns(transposed(downColumns(grey))));

  function downColumns({ height, width, values }) {
    const means = new Float32Array(values.length);
    for (let row = 0; row < height; row++) {
      const above = (row === 0 ? 1 : row - 1) * width;
      const below = (row === height - 1 ? height - 2 : row + 1) * width;
      for (let column = 0; column < width; column++) {
        means[row * width + column] =
          (values[above + column] + values[below + column]) / 4 + values[row * width + column] / 2;
      }
    }
    return picture(height, width, means);
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
  const tall = largestInColumns(paddedColumns(grey, width - 1), width);
  const around = largestInColumns(paddedColumns(transposed(tall), width - 1), width);
  const narrow = largestInColumns(
    mapped(around, (value) => -value),
    width,
  );
  return mapped(largestInColumns(transposed(narrow), width), (value) => -value);
}

/* A picture with so many rows of -1 above and below. */
function paddedColumns({ height, width, values }, by) {
  const larger = picture(height + 2 * by, width);
  larger.values.fill(-1);
  larger.values.set(values, by * width);
  return larger;
}

/* The largest value in each square of so many pixels that lies in the picture. */
function largestInSquares(grey, width) {
  return transposed(largestInColumns(transposed(largestInColumns(grey, width)), width));
}

/* The largest of so many values one below the other, by doubling: a few passes rather than one for each. */
function largestInColumns(grey, count) {
  const values = grey.values.slice();
  let length = values.length;
  for (let reach = 1; reach < count; ) {
    const step = Math.min(reach, count - reach);
    const apart = step * grey.width;
    length -= apart;
    for (let i = 0; i < length; i++) if (values[i + apart] > values[i]) values[i] = values[i + apart];
    reach += step;
  }
  return picture(length / grey.width, grey.width, values.slice(0, length));
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
    boxes[label - 1] ??= [labels.height, 0, labels.width, 0];
    const box = boxes[label - 1];
    box[0] = Math.min(box[0], row);
    box[1] = Math.max(box[1], row + 1);
    box[2] = Math.min(box[2], column);
    box[3] = Math.max(box[3], column + 1);
    areas[label - 1] = (areas[label - 1] ?? 0) + 1;
  });
  return [boxes, areas];
}
