'use strict';

/* Pictures scaled with antialiasing, as Pillow does it (its file Resample.c). */

const FILTERS = {
  /* Source: R. Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.5. */
  BICUBIC: [2, (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0)],
  LANCZOS: [3, (x) => (x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/* A picture: height, width, and values row by row. */
function picture(height, width, values = new Float32Array(height * width)) {
  return { height, width, values };
}

function resized(grey, height, width, way = 'BICUBIC') {
  const wide = width === grey.width ? grey : alongRows(grey, width, FILTERS[way]);
  return height === wide.height ? wide : transposed(alongRows(transposed(wide), height, FILTERS[way]));
}

function transposed({ height, width, values }) {
  const turned = values.slice();
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) turned[column * height + row] = values[row * width + column];
  }
  return picture(width, height, turned);
}

function alongRows({ height, width, values }, newWidth, filter) {
  const scaled = new Float32Array(height * newWidth);
  for (let column = 0; column < newWidth; column++) {
    const [first, weights] = weightsFor(column, width / newWidth, width, filter);
    for (let row = 0; row < height; row++) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * values[row * width + first + i];
      scaled[row * newWidth + column] = sum;
    }
  }
  return picture(height, newWidth, scaled);
}

/* Which pixels make one of the scaled picture: the first one's place, and how much each counts. */
function weightsFor(place, scale, size, [reach, filter]) {
  const wide = Math.max(scale, 1);
  const centre = (place + 0.5) * scale;
  const first = Math.max(Math.trunc(centre - reach * wide + 0.5), 0);
  const end = Math.min(Math.trunc(centre + reach * wide + 0.5), size);
  const weights = [];
  let sum = 0;
  for (let i = first; i < end; i++) {
    weights.push(filter(Math.abs((i - centre + 0.5) / wide)));
    sum += weights[weights.length - 1];
  }
  return [first, weights.map((weight) => weight / sum)];
}
