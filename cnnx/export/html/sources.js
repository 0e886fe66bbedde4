'use strict';

/* Which numbers a number is computed from. Units are [row, column, channel]. */

const WINDOWED = [
  'Convolutional',
  'Convolutional1D',
  'MaxPooling',
  'MaxPooling1D',
  'GlobalMaxPooling',
  'AveragePooling',
  'AveragePooling1D',
  'GlobalAveragePooling',
];

/* The units of the k-th layer that is read: a list of [k, unit]. */
function sourcesOf(layer, unit) {
  const [row, column, channel] = unit;
  const [H, W, C] = layer.image;
  const every = (choose) => {
    const units = [];
    for (let i = 0; i < H * W * C; i++) {
      const each = [Math.floor(i / (W * C)), Math.floor(i / C) % W, i % C];
      if (choose(each, i)) units.push([0, each]);
    }
    return units;
  };
  const index = (row * layer.output[1] + column) * layer.output[2] + channel;
  if (WINDOWED.includes(layer.kind)) {
    const pixels = pixelsOfWindow(layer.window, layer.image, row, column);
    return pixels.flatMap(([, r, c]) => channelsRead(layer, channel).map((each) => [0, [r, c, each]]));
  }
  switch (layer.kind) {
    case 'Dense':
      return every(() => true);
    case 'Softmax':
    case 'LogSoftmax':
      return every(([r, c]) => r === row && c === column);
    case 'GroupNormalization':
    case 'LayerNormalization': {
      const part = new Set(partsToNormalize(new Float32Array(H * W * C), layer).find((each) => each.includes(index)));
      return every((_, i) => part.has(i));
    }
    case 'TransposedConvolutional':
      return every(([h, w]) =>
        pixelsOfWindow(layer.window, layer.output, h, w).some(([, r, c]) => r === row && c === column),
      );
    case 'UpSampling': {
      const rows = neighbours(row, layer.size[0], H, layer.interpolation);
      const columns = neighbours(column, layer.size[1], W, layer.interpolation);
      return rows.flatMap(([r]) => columns.map(([c]) => [0, [r, c, channel]]));
    }
    case 'Flatten':
    case 'Reshape':
      return every((_, i) => i === index);
    case 'Permute': {
      const numbered = LAYERS.Permute(
        Float32Array.from({ length: H * W * C }, (_, i) => i),
        layer,
      );
      return every((_, i) => i === numbered[index]);
    }
    case 'ZeroPadding':
    case 'Cropping': {
      const sign = layer.kind === 'ZeroPadding' ? -1 : 1;
      const [r, c] = [row + sign * layer.corner[0], column + sign * layer.corner[1]];
      return r >= 0 && c >= 0 && r < H && c < W ? [[0, [r, c, channel]]] : [];
    }
    case 'Concatenate': {
      const sizes = layer.inputs.map((shape) => shape.reduce((product, size) => product * size, 1));
      for (let k = 0; k < sizes.length; k++) {
        const counters = sizes.map((size, j) => Float32Array.from({ length: size }, (_, i) => (j === k ? i + 1 : 0)));
        const place = concatenate(counters, layer)[index];
        if (place) return [[k, unitOf(layer.inputs[k], place - 1)]];
      }
      return [];
    }
    case 'Add':
    case 'Multiply':
      return layer.inputs.map((_, k) => [k, unit]);
    default:
      return [[0, unit]];
  }
}

/* The unit at a place in memory of an array of a shape. */
function unitOf(shape, index) {
  const [, W, C] = [1, 1, 1, ...shape].slice(-3);
  return [Math.floor(index / (W * C)), Math.floor(index / C) % W, index % C];
}

/* The channels that one channel of a windowed layer reads: those of its group, or, where it pools, itself. */
function channelsRead(layer, channel) {
  if (!layer.kind.startsWith('Conv')) return [channel];
  const groups = layer.groups ?? 1;
  const size = layer.image[2] / groups;
  const group = Math.floor(channel / (layer.output[2] / groups));
  return Array.from({ length: size }, (_, i) => group * size + i);
}
