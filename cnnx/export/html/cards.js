'use strict';

/* The arithmetic of one number: what it is computed from, step by step, in words and numbers.

   explain(layer, unit, inputs, value, names, channel, choose) returns elements. `inputs` are the arrays that the layer
   reads, `names` those of classes or null, `channel` the one of a convolution that is shown, or null for the strongest;
   choose(channel) is called when another is chosen. */

const STRONGEST = 8; // of a dense unit's inputs

function explain(layer, unit, inputs, value, names, channel, choose) {
  const x = inputs[0];
  if (layer.kind.startsWith('Conv') && layer.window) return explainConvolution(layer, unit, x, value, channel, choose);
  if (WINDOWED.includes(layer.kind)) return explainPooling(layer, unit, x, value);
  if (layer.kind === 'Dense') return explainDense(layer, unit, x, value);
  if (layer.kind.endsWith('Softmax')) return explainSoftmax(layer, unit, x, value, names);
  const sources = sourcesOf(layer, unit);
  const numbers = sources.map(([k, each]) => inputs[k][indexIn(layer.inputs[k], each)]);
  return explainOthers(layer, unit, numbers, value);
}

function indexIn(shape, [row, column, channel]) {
  const [, W, C] = [1, 1, 1, ...shape].slice(-3);
  return (row * W + column) * C + channel;
}

function says(text) {
  return element('p', {}, text);
}

/* A line of a sum, its result in bold. */
function sum(text, result) {
  return element('p', { class: 'sum' }, `${text} = `, element('b', {}, result));
}

/* A number that is added, with its sign. */
function plus(number) {
  return number < 0 ? ` − ${shown(-number)}` : ` + ${shown(number)}`;
}

function withBias(layer, unit) {
  return layer.bias ? `${plus(layer.bias[unit])} (bias, learned)` : '';
}

/* A table of numbers, coloured by size; `won` is the place of one that is framed. */
function grid(caption, rows, columns, numbers, won = -1) {
  const largest = largestSize(numbers.filter((number) => number !== null));
  const table = element('table', { class: 'numbers' }, element('caption', {}, caption));
  for (let row = 0; row < rows; row++) {
    const line = element('tr');
    for (let column = 0; column < columns; column++) {
      const number = numbers[row * columns + column];
      const cell = element('td', {}, number === null ? '·' : shown(number));
      const colour = colourOf((number ?? 0) / largest);
      cell.style.background = `rgb(${colour.join(' ')})`;
      const light = 0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2]);
      cell.style.color = light > 0.18 ? '#000000' : '#ffffff';
      if (row * columns + column === won) cell.className = 'won';
      line.append(cell);
    }
    table.append(line);
  }
  return table;
}

function linear(value) {
  const part = value / 255;
  return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
}

/* A list of terms with bars: [name, number, text, a function to call or undefined, whether it is chosen]. */
function terms(items) {
  const largest = largestSize(items.map(([, number]) => number));
  const list = element('ul', { class: 'parts' });
  for (const [name, number, text, choose, isChosen] of items) {
    const bar = element('i', { class: number < 0 ? 'negative' : '' });
    bar.style.left = '0';
    bar.style.width = `${(100 * Math.abs(number)) / largest}%`;
    const parts = [
      element('span', {}, name),
      element('span', { class: 'bar' }, bar),
      element('span', { class: 'number' }, text ?? shown(number)),
    ];
    if (choose) {
      const button = element('button', { type: 'button', 'aria-pressed': String(Boolean(isChosen)) }, ...parts);
      button.addEventListener('click', choose);
      list.append(element('li', { class: 'chosen' }, button));
    } else {
      list.append(element('li', {}, ...parts));
    }
  }
  return list;
}

function explainConvolution(layer, unit, x, value, channel, choose) {
  const [row, column, filter] = unit;
  const { window, image, weights, output } = layer;
  const channels = channelsRead(layer, filter);
  const size = window.height * window.width;
  const patches = channels.map((each) => {
    const patch = new Array(size).fill(null);
    for (const [place, r, c] of pixelsOfWindow(window, image, row, column))
      patch[place] = x[(r * image[1] + c) * image[2] + each];
    return patch;
  });
  const filters = channels.map((_, i) =>
    Array.from({ length: size }, (_, place) => weights[(place * channels.length + i) * output[2] + filter]),
  );
  const sums = patches.map((patch, i) =>
    patch.reduce((all, number, place) => all + (number ?? 0) * filters[i][place], 0),
  );
  const strongest = sums.reduce((best, each, i) => (Math.abs(each) > Math.abs(sums[best]) ? i : best), 0);
  const at = channel !== null && channels.includes(channel) ? channels.indexOf(channel) : strongest;
  const products = patches[at].map((number, place) => (number === null ? null : number * filters[at][place]));
  const all = sums.reduce((one, other) => one + other, 0);
  const parts = [
    says(
      "The filter of this map lies on the marked window. Each number under it is multiplied by the filter's number at the same place, and the products are added up.",
    ),
  ];
  const ofMap = channels.length > 1 ? ` (map ${channels[at] + 1})` : '';
  if (channels.length > 1)
    parts.push(says(`The window goes through all ${channels.length} maps before. Map ${channels[at] + 1}:`));
  if (size > 1 && window.width <= 7 && window.height <= 7) {
    parts.push(
      element(
        'div',
        { class: 'grids' },
        grid(`Window${ofMap}`, window.height, window.width, patches[at]),
        grid('Filter, learned in training', window.height, window.width, filters[at]),
        grid(`Products, together ${shown(sums[at])}`, window.height, window.width, products),
      ),
    );
    if (patches[at].includes(null)) parts.push(hint('· lies beyond the edge, and counts as 0.'));
  }
  if (channels.length > 1) {
    parts.push(says('Such a sum for each map; choose one to see its window:'));
    parts.push(terms(channels.map((each, i) => [`map ${each + 1}`, sums[i], undefined, () => choose(each), i === at])));
  }
  parts.push(sum(`${shown(all)} (all products)${withBias(layer, filter)}`, shown(value)));
  if (layer.reads[0] < 0 && size > 1)
    parts.push(says('The filter looks for large numbers where it is blue, and for small ones where it is orange.'));
  return parts;
}

/* What a number of a later convolution looks for in the image, through all layers between: drawn when it is known. */
function lookedFor(layer, [row, column, filter]) {
  const canvas = element('canvas', { class: 'looked-for', role: 'img', 'aria-label': 'What this number looks for' });
  const place = (row * layer.output[1] + column) * layer.output[2] + filter;
  const score = (x) => forward(network, x, layer.index)[layer.index][place];
  const { x } = state;
  const caption = element('figcaption', {}, 'Computing what it looks for in the image …');
  drawAttribution(canvas, new Float32Array(x.length), x);
  takeSteps(
    gradient(x, network.input, score, littleBrighter()),
    () => canvas.isConnected,
    (map) => {
      drawAttribution(canvas, map, x);
      caption.textContent =
        'What it looks for in the image: brighter pixels would raise this number where it is blue, and lower it where it is orange.';
    },
  );
  return element('figure', { class: 'beside' }, canvas, caption);
}

function explainPooling(layer, [row, column, channel], x, value) {
  const { window, image } = layer;
  const numbers = new Array(window.height * window.width).fill(null);
  for (const [place, r, c] of pixelsOfWindow(window, image, row, column))
    numbers[place] = x[(r * image[1] + c) * image[2] + channel];
  const isMax = layer.kind.includes('Max');
  const won = isMax ? numbers.indexOf(value) : -1;
  const count = numbers.filter((number) => number !== null).length;
  const parts = [
    says(
      isMax
        ? 'Of the marked window the largest number stays, here the framed one. Where in the window it was is forgotten.'
        : `The marked window becomes the mean of its ${count} numbers.`,
    ),
  ];
  if (window.width <= 8 && window.height <= 8) parts.push(grid('Window', window.height, window.width, numbers, won));
  parts.push(sum(isMax ? `Largest of ${count}` : `Mean of ${count}`, shown(value)));
  return parts;
}

/* Inputs of a dense unit as [place, number, weight], those with the largest products first. */
function strongestInputs(layer, [, , unit], x) {
  const products = Array.from(x, (number, i) => [i, number, layer.weights[i * layer.shape[0] + unit]]);
  return products.sort((a, b) => Math.abs(b[1] * b[2]) - Math.abs(a[1] * a[2]));
}

function explainDense(layer, place, x, value) {
  const products = strongestInputs(layer, place, x);
  const strongest = products.slice(0, STRONGEST);
  const total = (list) => list.reduce((all, [, number, weight]) => all + number * weight, 0);
  const items = strongest.map(([i, number, weight]) => [
    `number ${i + 1}`,
    number * weight,
    `${shown(number)} × ${shown(weight)}`,
  ]);
  const rest = products.slice(STRONGEST);
  const parts = [
    says(
      `Each of the ${x.length} numbers before is multiplied by a weight, which training found, and all products are added up. The largest products, whose numbers are marked:`,
    ),
    terms(items),
  ];
  const others = rest.length ? `${plus(total(rest))} (the other ${rest.length})` : '';
  parts.push(sum(`${shown(total(strongest))} (these)${others}${withBias(layer, place[2])}`, shown(value)));
  return parts;
}

function explainSoftmax(layer, [row, column, unit], x, value, names) {
  const classes = layer.shape[layer.shape.length - 1];
  const start = (row * layer.output[1] + column) * classes;
  const numbers = Array.from(x.subarray(start, start + classes));
  const largest = Math.max(...numbers);
  const powers = numbers.map((number) => Math.exp(number - largest));
  const all = powers.reduce((one, other) => one + other, 0);
  const items = numbers.map((number, i) => [
    `${names ? names[i] : i + 1}: ${shown(number)}`,
    powers[i],
    `${shown(number - largest)} → ${shown(powers[i])}`,
  ]);
  const isLog = layer.kind === 'LogSoftmax';
  return [
    says(
      `From each number the largest, ${shown(largest)}, is subtracted, and e (2.718…) is raised to the power of the difference (difference → power). So none is negative, and what is a little larger counts much more:`,
    ),
    terms(items.slice(0, 20)),
    says(`Together they are ${shown(all)}. Divided by that they add up to 1.`),
    sum(`${isLog ? 'log of ' : ''}${shown(powers[unit])} / ${shown(all)}`, shown(value)),
  ];
}

function explainOthers(layer, [, , channel], numbers, value) {
  const x = numbers[0];
  const result = shown(value);
  switch (layer.kind) {
    case 'Add':
      return [
        says('The numbers at the same place of the layers before are added.'),
        sum(numbers.map((each, i) => (i ? plus(each) : shown(each))).join(''), result),
      ];
    case 'Multiply':
      return [
        says('The numbers at the same place of the layers before are multiplied.'),
        sum(numbers.map((each) => shown(each)).join(' × '), result),
      ];
    case 'BatchNormalization': {
      const [mean, variance] = [layer.running_mean[channel], layer.running_variance[channel]];
      return [
        says(
          `In training, the numbers of this map had mean ${shown(mean)} and variance ${shown(variance)}. The mean is subtracted, and the rest divided by the square root of the variance; then come a factor and an offset, which are learned:`,
        ),
        sum(
          `${shown(layer.gamma[channel])} × (${shown(x)}${plus(-mean)}) / √${shown(variance + layer.epsilon)}${plus(layer.beta[channel])}`,
          result,
        ),
      ];
    }
    case 'GroupNormalization':
    case 'LayerNormalization': {
      const [mean, scale] = meanAndScale(numbers, layer.epsilon);
      return [
        says(
          `The ${numbers.length} numbers that are marked have mean ${shown(mean)} and deviation ${shown(1 / scale)}. They are brought to mean 0 and deviation 1, then multiplied by ${shown(layer.gamma[channel])}, and ${shown(layer.beta[channel])} is added.`,
        ),
        sum('The number here', result),
      ];
    }
    case 'Rescaling':
      return [
        says('The number before, times a factor, plus an offset.'),
        sum(`${shown(x)} × ${shown(numberOf(layer.scale, channel))}${plus(numberOf(layer.offset, channel))}`, result),
      ];
    case 'PReLU':
      return [
        says('A positive number stays; a negative one is multiplied by what this map has learned.'),
        sum(x > 0 ? shown(x) : `${shown(layer.alpha[channel])} × ${shown(x)}`, result),
      ];
    case 'ReLU':
      return [
        says(
          `ReLU keeps positive numbers: the number before ${x > 0 ? 'is positive, and stays' : 'is not, and becomes 0'}.`,
        ),
        sum(`max(0, ${shown(x)})`, result),
      ];
    case 'TransposedConvolutional':
      return [
        says(
          `The ${numbers.length} marked numbers each add a filter, times themselves, to a window here. Their parts at this place, and the bias ${shown(layer.bias ? layer.bias[channel] : 0)}, make it.`,
        ),
        sum('The number here', result),
      ];
    case 'UpSampling':
      return [
        says(
          numbers.length > 1
            ? 'It lies between the marked pixels: a mean in which the nearer ones count more.'
            : 'The marked pixel is repeated.',
        ),
        sum('The number here', result),
      ];
    case 'ZeroPadding':
      return [
        says(
          numbers.length
            ? 'The number before, in the middle of the larger image.'
            : 'It is in the border that is added: 0.',
        ),
        sum('The number here', result),
      ];
    default:
      if (layer.kind in FORMULAS)
        return [
          says(`The curve ${FORMULAS[layer.kind]}, at x = ${shown(x)}:`),
          sum(`${layer.kind} of ${shown(x)}`, result),
        ];
      return [
        says('The same number as before, at another place or unchanged. It is marked there.'),
        sum('The number here', result),
      ];
  }
}
