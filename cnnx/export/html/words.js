'use strict';

/* What layers do, in a sentence, and how numbers are written. */

const WORDS = {
  Convolutional: (layer) =>
    `${counted(layer.output[2], 'filter')} of ${layer.window.height} × ${layer.window.width} slide over the layer before. ` +
    `Each makes one map, which is strong where the pattern of its filter is. ${placesOf(layer)}`,
  Convolutional1D: (layer) =>
    `${counted(layer.output[2], 'filter')} of ${layer.window.width} slide along the signal before.`,
  TransposedConvolutional: () => 'Each number before adds a filter, times itself, to a window here: the image grows.',
  Dense: (layer) =>
    `${counted(layer.shape[0], 'sum')}: each adds up all ${layer.inputs[0][0]} numbers before, every one times a weight of its own.`,
  MaxPooling: (layer) =>
    `Of each window of ${layer.window.height} × ${layer.window.width}, the largest number stays: smaller maps, that care less where a pattern is.`,
  MaxPooling1D: (layer) => `Of each ${layer.window.width} neighbours the largest number stays.`,
  GlobalMaxPooling: () => 'Of each map the largest number stays.',
  AveragePooling: (layer) => `Each window of ${layer.window.height} × ${layer.window.width} becomes its mean.`,
  AveragePooling1D: (layer) => `Each ${layer.window.width} neighbours become their mean.`,
  GlobalAveragePooling: () => 'Each map becomes its mean.',
  BatchNormalization: () => 'Each map is shifted and scaled by what training found: typical numbers lie around 0.',
  GroupNormalization: () => 'Groups of maps are shifted and scaled to mean 0 and variance 1, then by learned numbers.',
  LayerNormalization: () =>
    'At each place the maps are shifted and scaled to mean 0 and variance 1, then by learned numbers.',
  ReLU: (layer) =>
    layer.max_value
      ? `Negative numbers become 0, and those over ${layer.max_value} become that.`
      : 'Negative numbers become 0, the others stay.',
  LeakyReLU: (layer) => `Negative numbers are multiplied by ${shown(layer.negative_slope)}, the others stay.`,
  PReLU: () => 'Negative numbers are multiplied by a learned number of their map, the others stay.',
  Sigmoid: () => 'Any number becomes one between 0 and 1.',
  HardSigmoid: () => 'Any number becomes one between 0 and 1, along a straight line.',
  Tanh: () => 'Any number becomes one between -1 and 1.',
  Softmax: () => 'The numbers become probabilities: none is negative, and together they are 1.',
  LogSoftmax: () => 'The logarithms of probabilities: the nearer to 0, the likelier.',
  Dropout: () => 'Acts in training only: here all numbers pass.',
  Flatten: () => 'The same numbers in one row (here in several lines), for the sums that come.',
  Reshape: () => 'The same numbers in another shape.',
  Permute: () => 'The same numbers with the axes in another order.',
  ZeroPadding: () => 'Rows and columns of zeros are put around.',
  Cropping: () => 'Rows and columns at the edges are cut off.',
  UpSampling: () => 'The image is enlarged.',
  Rescaling: () => 'Each number times one factor, plus another: both are given, not learned.',
  Add: () => 'The numbers of several layers are added, place by place.',
  Multiply: () => 'The numbers of several layers are multiplied, place by place.',
  Concatenate: () => 'The maps of several layers, side by side.',
};

/* Activations that are curves: how the formula is written. */
const FORMULAS = {
  Sigmoid: '1 / (1 + exp(-x))',
  Tanh: 'tanh(x)',
  ELU: 'x, or α (exp(x) - 1) below 0',
  SELU: '1.0507 x, or 1.7581 (exp(x) - 1) below 0',
  HardSigmoid: 'α x + β, at least 0 and at most 1',
  Softplus: 'log(1 + exp(x))',
  SiLU: 'x / (1 + exp(-x))',
  GELU: 'x F(x), F being the normal distribution function',
  HardSwish: 'x min(max(x + 3, 0), 6) / 6',
  ReLU: 'max(0, x)',
  LeakyReLU: 'x, or a small part of it below 0',
};

/* Why the maps of a convolution have the size that they have. */
function placesOf({ window, image, output }) {
  const [before, after] = [image, output].map(([height, width]) => `${height} × ${width}`);
  const count = pixelsOfWindow(window, image, output[0] - 1, output[1] - 1).length;
  const isPadded = window.padTop || window.padLeft || count < window.height * window.width;
  const step = Math.max(window.strideHeight, window.strideWidth);
  const apart = step > 1 ? `, ${step} apart` : '';
  return isPadded
    ? `Zeros are added around the edge, so that the window fits at ${after} places${apart}.`
    : `The window fits at ${after} places of ${before}${apart}.`;
}

function wordsFor(layer) {
  return (WORDS[layer.kind] ?? (() => `A curve for each number: ${FORMULAS[layer.kind]}.`))(layer);
}

function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function shapeInWords({ shape }) {
  if (shape.length === 1) return counted(shape[0], 'number');
  const maps = shape[shape.length - 1];
  return maps === 1
    ? `${shape.slice(0, -1).join(' × ')} numbers`
    : `${shape.join(' × ')} numbers: ${maps} maps of ${shape.slice(0, -1).join(' × ')}`;
}

/* A number with two decimals, or fewer where it is large; a true minus sign. */
function shown(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'not a number' : value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  if (size < 0.005) return size === 0 ? '0' : '≈ 0';
  const text = size.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
  return value < 0 ? `−${text}` : text;
}

function percent(part) {
  return `${(100 * part).toFixed(1)}\u00a0%`;
}

/* Make an element: attributes, then text or elements. Text is set as text, so that no name can be markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function hint(text) {
  return element('p', { class: 'hint' }, text);
}
