'use strict';

/* The layers, one below the other, branches side by side: name, words, maps and filters of each. */

const TITLES = {
  Convolutional: 'Convolution',
  Convolutional1D: 'Convolution 1D',
  MaxPooling: 'Max-pooling',
  UpSampling: 'Upsampling',
  LeakyReLU: 'Leaky ReLU',
  Input: 'The image',
};

/* Layers that can stand side by side: those that are equally far from the input. */
function levels() {
  const depth = new Map([[-1, 0]]);
  const found = [[INPUT]];
  for (const layer of network.layers) {
    const level = 1 + Math.max(...layer.reads.map((place) => depth.get(place)));
    depth.set(layer.index, level);
    found[level] = [...(found[level] ?? []), layer];
  }
  return found;
}

function nameOf(layer) {
  const title =
    TITLES[layer.kind] ??
    layer.kind
      .replace(/([a-z])([A-Z])(?=[a-z]{2})/g, (_, end, start) => `${end} ${start.toLowerCase()}`)
      .replace('1D', ' 1D');
  return layer.index < 0 ? title : `${layer.index + 1}. ${title}`;
}

function layerSection(layer) {
  const maps = new Maps(layer, nameOf(layer));
  views.set(layer.index, maps);
  const head = element(
    'div',
    { class: 'layer-head' },
    element('h3', {}, nameOf(layer)),
    element('span', { class: 'shape' }, shapeInWords(layer)),
  );
  const isChain = layer.index < 0 || (layer.reads.length === 1 && layer.reads[0] === layer.index - 1);
  const from = isChain
    ? ''
    : ` It reads ${layer.reads.map((place) => (place < 0 ? 'the image' : nameOf(network.layers[place]))).join(' and ')}.`;
  const words = layer.index < 0 ? 'What the network is given, as numbers.' : wordsFor(layer) + from;
  const section = element('section', { class: 'layer', 'aria-label': nameOf(layer) }, head, hint(words), maps.element);
  if (namesOutputs(layer) && layer.shape[0] <= 12 && network.names.every((name) => name.length <= 3))
    section.append(namesBelow(maps.layout));
  if (layer.kind.startsWith('Conv') && layer.window) section.append(filtersOf(layer));
  for (const [map, button] of maps.buttons.entries()) listen(button, maps, map);
  return section;
}

/* Whether a layer has a number for each class: the last, and what a softmax reads. */
function namesOutputs(layer) {
  const last = network.layers[network.layers.length - 1];
  const isLast = layer === last || (last.kind.endsWith('Softmax') && last.reads[0] === layer.index);
  return isLast && layer.shape.length === 1 && !['yes or no', 'numbers'].includes(network.output);
}

function namesBelow(layout) {
  const names = element(
    'div',
    { class: 'names', 'aria-hidden': 'true' },
    ...network.names.map((name) => element('span', {}, name)),
  );
  names.style.gridTemplateColumns = `repeat(${layout.channels}, 1fr)`;
  names.style.width = `calc(${layout.columns * layout.side}px * var(--zoom))`;
  return names;
}

/* The filters of a convolution, drawn when they are opened. */
function filtersOf(layer) {
  const { height, width } = layer.window;
  const channels = channelsRead(layer, 0).length;
  const filters = layer.output[2];
  const body = element('div', { class: 'filters' });
  const details = element('details', {}, element('summary', {}, 'Show the filters'), body);
  details.addEventListener('toggle', () => {
    if (!details.open) return;
    const largest = largestSize(layer.weights);
    body.replaceChildren(
      hint(
        `A square for each weight, in the colours of numbers.${channels > 1 ? ` Each filter has ${height} × ${width} weights for each of ${channels} maps, in their order.` : ''}`,
      ),
      ...Array.from({ length: Math.min(filters, 64) }, (_, f) => {
        const row = element('div', { class: 'filter' });
        if (channels > 1) row.append(element('span', {}, `${f + 1}`));
        for (let c = 0; c < Math.min(channels, 32); c++) {
          const canvas = element('canvas', { role: 'img', 'aria-label': `Filter ${f + 1} for map ${c + 1}` });
          paint(canvas, height, width, (i) => colourOf(layer.weights[(i * channels + c) * filters + f] / largest));
          const caption = channels > 1 ? `map ${c + 1}` : `${f + 1}`;
          row.append(element('figure', {}, canvas, element('figcaption', {}, caption)));
        }
        return row;
      }),
    );
  });
  return details;
}
