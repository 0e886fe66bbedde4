'use strict';

/* The forward pass of every kind of layer, for one sample.

   LAYERS[kind](x, layer) returns what the layer gives for x, a Float32Array; layers that merge get a list of them.
   Numbers lie as in cnnx: rows, columns, channels, the last axis fastest. `layer` is what description.py says of it,
   and has its parameters as arrays: layer.weights, layer.bias and so on. Layers over signals and rows see images of
   one row: layer.image is [height, width, channels] of what comes in, layer.output of what goes out. */

const LAYERS = {
  Convolutional: convolution,
  Convolutional1D: convolution,
  TransposedConvolutional: transposedConvolution,
  Dense: dense,
  MaxPooling: maxPooling,
  MaxPooling1D: maxPooling,
  GlobalMaxPooling: maxPooling,
  AveragePooling: averagePooling,
  AveragePooling1D: averagePooling,
  GlobalAveragePooling: averagePooling,
  BatchNormalization: batchNormalization,
  GroupNormalization: groupNormalization,
  LayerNormalization: groupNormalization,
  PReLU: (x, layer) => byChannel(x, layer, (value, c) => (value > 0 ? value : layer.alpha[c] * value)),
  Rescaling: (x, layer) =>
    byChannel(x, layer, (value, c) => value * numberOf(layer.scale, c) + numberOf(layer.offset, c)),
  Softmax: (x, layer) => softmax(x, layer, false),
  LogSoftmax: (x, layer) => softmax(x, layer, true),
  Dropout: (x) => x,
  Flatten: (x) => x,
  Reshape: (x) => x,
  Permute: permute,
  ZeroPadding: zeroPadding,
  Cropping: cropping,
  UpSampling: upSampling,
  Add: (inputs) => merged(inputs, (a, b) => a + b),
  Multiply: (inputs) => merged(inputs, (a, b) => a * b),
  Concatenate: concatenate,
};

/* Activations: functions of one number and the layer's settings. */
const ACTIVATIONS = {
  ReLU: (x, layer) => Math.min(Math.max(x, 0), layer.max_value ?? Infinity),
  LeakyReLU: (x, layer) => (x > 0 ? x : layer.negative_slope * x),
  Sigmoid: (x) => logistic(x),
  Tanh: (x) => Math.tanh(x),
  ELU: (x, layer) => (x > 0 ? x : layer.alpha * Math.expm1(x)),
  SELU: (x, layer) => layer.scale * (x > 0 ? x : layer.alpha * Math.expm1(x)),
  HardSigmoid: (x, layer) => Math.min(Math.max(layer.alpha * x + layer.beta, 0), 1),
  Softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  SiLU: (x) => x * logistic(x),
  GELU: (x) => (x * errorFunctionComplement(-x * Math.SQRT1_2)) / 2,
  HardSwish: (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6,
};
for (const [kind, activation] of Object.entries(ACTIVATIONS)) {
  LAYERS[kind] = (x, layer) => x.map((value) => activation(value, layer));
}

function isActivation(layer) {
  return layer.kind in ACTIVATIONS || layer.kind === 'PReLU';
}

function logistic(x) {
  return 1 / (1 + Math.exp(-x));
}

/* 1 - erf(x), to 1.2e-7. Source: Press et al., "Numerical Recipes in C", 2nd edition, section 6.2, erfcc. */
function errorFunctionComplement(x) {
  const t = 1 / (1 + Math.abs(x) / 2);
  const factors = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
    0.17087277,
  ];
  const polynomial = factors.reduceRight((sum, factor) => sum * t + factor);
  const value = t * Math.exp(-x * x + polynomial);
  return x >= 0 ? value : 2 - value;
}

/* The places of the input that a window covers at one position: a list of [place in the window, row, column]. */
function pixelsOfWindow(window, image, p, q) {
  const pixels = [];
  for (let r = 0; r < window.height; r++) {
    const row = p * window.strideHeight - window.padTop + r * window.dilationHeight;
    for (let s = 0; s < window.width; s++) {
      const column = q * window.strideWidth - window.padLeft + s * window.dilationWidth;
      if (row >= 0 && row < image[0] && column >= 0 && column < image[1]) {
        pixels.push([r * window.width + s, row, column]);
      }
    }
  }
  return pixels;
}

/* y[p, q, f] = sum of x[row, column, c] weights[place, c, f] over the window, plus bias[f]; by groups of channels. */
function convolution(x, layer) {
  const { image, output, window, weights, bias } = layer;
  const [P, Q, F] = output;
  const C = image[2];
  const groups = layer.groups ?? 1;
  const channels = C / groups;
  const filters = F / groups;
  const y = new Float32Array(P * Q * F);
  const sums = new Float64Array(F);
  for (let p = 0; p < P; p++) {
    for (let q = 0; q < Q; q++) {
      for (let f = 0; f < F; f++) sums[f] = bias ? bias[f] : 0;
      for (const [place, row, column] of pixelsOfWindow(window, image, p, q)) {
        for (let c = 0; c < C; c++) {
          const value = x[(row * image[1] + column) * C + c];
          if (value === 0) continue;
          const first = Math.floor(c / channels) * filters;
          const start = (place * channels + (c % channels)) * F;
          for (let f = first; f < first + filters; f++) sums[f] += value * weights[start + f];
        }
      }
      y.set(sums, (p * Q + q) * F);
    }
  }
  return y;
}

/* Each pixel adds its filters, times itself, to a window of the output. weights[place, f, c]. */
function transposedConvolution(x, layer) {
  const { image, output, window, weights, bias } = layer;
  const [P, Q, F] = output;
  const [H, W, C] = image;
  const sums = new Float64Array(P * Q * F);
  for (let i = 0; i < sums.length; i++) sums[i] = bias ? bias[i % F] : 0;
  for (let h = 0; h < H; h++) {
    for (let w = 0; w < W; w++) {
      for (const [place, row, column] of pixelsOfWindow(window, output, h, w)) {
        for (let f = 0; f < F; f++) {
          let sum = 0;
          for (let c = 0; c < C; c++) sum += x[(h * W + w) * C + c] * weights[(place * F + f) * C + c];
          sums[(row * Q + column) * F + f] += sum;
        }
      }
    }
  }
  return Float32Array.from(sums);
}

/* y = x weights + bias. weights[input, output]. */
function dense(x, layer) {
  const { weights, bias } = layer;
  const size = layer.shape[0];
  const sums = new Float64Array(size);
  for (let j = 0; j < size; j++) sums[j] = bias ? bias[j] : 0;
  for (let i = 0; i < x.length; i++) {
    if (x[i] === 0) continue;
    for (let j = 0; j < size; j++) sums[j] += x[i] * weights[i * size + j];
  }
  return Float32Array.from(sums);
}

function pooled(layer, reduce) {
  const { image, output, window } = layer;
  const [P, Q, C] = output;
  const y = new Float32Array(P * Q * C);
  for (let p = 0; p < P; p++) {
    for (let q = 0; q < Q; q++) {
      const starts = pixelsOfWindow(window, image, p, q).map(([, row, column]) => (row * image[1] + column) * C);
      for (let c = 0; c < C; c++) y[(p * Q + q) * C + c] = reduce(starts, c, p * Q + q);
    }
  }
  return y;
}

function maxPooling(x, layer) {
  return pooled(layer, (starts, c) => {
    let best = -Infinity;
    for (const start of starts) best = Math.max(best, x[start + c]);
    return best;
  });
}

/* The mean over the pixels within the image; layer.factor, where there is one, says how else they count. */
function averagePooling(x, layer) {
  const { window, factor } = layer;
  const isDilated = window.dilationHeight > 1 || window.dilationWidth > 1;
  return pooled(layer, (starts, c, position) => {
    let sum = 0;
    for (const start of starts) sum += x[start + c];
    const count = isDilated ? window.height * window.width : starts.length;
    return (sum / count) * (factor ? factor[position] : 1);
  });
}

function byChannel(x, layer, compute) {
  const C = layer.image[2];
  return x.map((value, i) => compute(value, i % C));
}

function numberOf(value, channel) {
  return Array.isArray(value) ? value[channel] : value;
}

/* y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with the mean and variance that training found. */
function batchNormalization(x, layer) {
  const { gamma, beta, running_mean: mean, running_variance: variance, epsilon } = layer;
  return byChannel(x, layer, (value, c) => (gamma[c] * (value - mean[c])) / Math.sqrt(variance[c] + epsilon) + beta[c]);
}

/* The same with mean and variance of groups of channels of this sample; LayerNormalization has one group a pixel. */
function groupNormalization(x, layer) {
  const y = new Float32Array(x.length);
  for (const part of partsToNormalize(x, layer)) {
    const [mean, scale] = meanAndScale(
      part.map((i) => x[i]),
      layer.epsilon,
    );
    for (const i of part) {
      const c = i % layer.image[2];
      y[i] = layer.gamma[c] * (x[i] - mean) * scale + layer.beta[c];
    }
  }
  return y;
}

/* Lists of places in x that are normalized together. */
function partsToNormalize(x, layer) {
  const C = layer.image[2];
  const groups = layer.kind === 'LayerNormalization' ? x.length / C : layer.groups;
  const parts = Array.from({ length: groups }, () => []);
  for (let i = 0; i < x.length; i++) {
    parts[layer.kind === 'LayerNormalization' ? Math.floor(i / C) : Math.floor((i % C) / (C / groups))].push(i);
  }
  return parts;
}

function meanAndScale(values, epsilon) {
  let mean = 0;
  for (const value of values) mean += value / values.length;
  let variance = 0;
  for (const value of values) variance += (value - mean) ** 2 / values.length;
  return [mean, 1 / Math.sqrt(variance + epsilon)];
}

/* exp(x) / sum of exp(x), row by row, less the largest of the row first; or its logarithm. */
function softmax(x, layer, logarithm) {
  const classes = layer.shape[layer.shape.length - 1];
  const y = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += classes) {
    const row = x.subarray(start, start + classes);
    const largest = Math.max(...row);
    let sum = 0;
    for (const value of row) sum += Math.exp(value - largest);
    for (let i = 0; i < classes; i++) {
      y[start + i] = logarithm ? row[i] - largest - Math.log(sum) : Math.exp(row[i] - largest) / sum;
    }
  }
  return y;
}

/* How far apart in memory neighbours along each axis are. */
function strides(shape) {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
}

function permute(x, layer) {
  const from = strides(layer.inputs[0]);
  const to = strides(layer.shape);
  return x.map((_, i) => {
    let place = 0;
    layer.shape.forEach((size, axis) => {
      place += (Math.floor(i / to[axis]) % size) * from[layer.axes[axis]];
    });
    return x[place];
  });
}

function zeroPadding(x, layer) {
  const y = new Float32Array(layer.output[0] * layer.output[1] * layer.output[2]);
  copyRows(layer.image, layer.output, layer.corner, (small, large, length) => {
    y.set(x.subarray(small, small + length), large);
  });
  return y;
}

function cropping(x, layer) {
  const y = new Float32Array(layer.output[0] * layer.output[1] * layer.output[2]);
  copyRows(layer.output, layer.image, layer.corner, (small, large, length) => {
    y.set(x.subarray(large, large + length), small);
  });
  return y;
}

/* Call copy(where a row of the smaller image starts, where it starts in the larger one, its length) for all rows. */
function copyRows(smaller, larger, corner, copy) {
  const length = smaller[1] * smaller[2];
  for (let row = 0; row < smaller[0]; row++) {
    copy(row * length, ((row + corner[0]) * larger[1] + corner[1]) * larger[2], length);
  }
}

/* Pixels repeated, or what lies between them: beyond the edges lie the pixels at the edges. */
function upSampling(x, layer) {
  const { image, output, size, interpolation } = layer;
  const [P, Q, C] = output;
  const y = new Float32Array(P * Q * C);
  for (let p = 0; p < P; p++) {
    const rows = neighbours(p, size[0], image[0], interpolation);
    for (let q = 0; q < Q; q++) {
      const columns = neighbours(q, size[1], image[1], interpolation);
      for (let c = 0; c < C; c++) {
        let sum = 0;
        for (const [row, a] of rows) {
          for (const [column, b] of columns) sum += a * b * x[(row * image[1] + column) * C + c];
        }
        y[(p * Q + q) * C + c] = sum;
      }
    }
  }
  return y;
}

/* Which pixels along an axis make an enlarged one, and how much each counts. */
function neighbours(place, factor, size, interpolation) {
  if (interpolation === 'nearest') return [[Math.floor(place / factor), 1]];
  const at = Math.min(Math.max((place + 0.5) / factor - 0.5, 0), size - 1);
  const first = Math.floor(at);
  const rest = at - first;
  return rest > 0
    ? [
        [first, 1 - rest],
        [first + 1, rest],
      ]
    : [[first, 1]];
}

function merged(inputs, compute) {
  return inputs.reduce((sum, x) => sum.map((value, i) => compute(value, x[i])));
}

function concatenate(inputs, layer) {
  const axis = layer.axis < 0 ? layer.axis + layer.shape.length : layer.axis;
  const lengths = layer.inputs.map((shape) => shape.slice(axis).reduce((product, size) => product * size, 1));
  const length = lengths.reduce((sum, each) => sum + each, 0);
  const y = new Float32Array(layer.shape.reduce((product, size) => product * size, 1));
  for (let start = 0, row = 0; start < y.length; start += length, row++) {
    let at = start;
    inputs.forEach((x, i) => {
      y.set(x.subarray(row * lengths[i], (row + 1) * lengths[i]), at);
      at += lengths[i];
    });
  }
  return y;
}
