'use strict';

/* The page: what is drawn goes through the network, and is shown at each layer. */

const network = JSON.parse(document.getElementById('network').textContent);
readParameters(network, document.getElementById('parameters').textContent.trim());
const INPUT = {
  kind: 'Input',
  index: -1,
  reads: [],
  inputs: [],
  shape: network.input,
  image: network.input,
  output: network.input,
};
const TITLES = {
  Convolutional: 'Convolution',
  Convolutional1D: 'Convolution 1D',
  MaxPooling: 'Max-pooling',
  UpSampling: 'Upsampling',
  LeakyReLU: 'Leaky ReLU',
  Input: 'The image',
};

const byId = (id) => document.getElementById(id);
const views = new Map(); // the Maps of each layer by its place; -1 is the input
const answer = new Answer(network);
const state = {
  x: null,
  outputs: [],
  label: null,
  unit: null,
  held: false,
  channel: null,
  waiting: false,
  next: 0, // when the next drawing may be computed, in ms
  source: 'pad',
};

/* The input. */

const pad = new Pad(byId('pad'), () => changed('pad'));

/* The drawing, or picture, as the network takes it, or null where there is none. */
function prepared(grey) {
  const [H, W] = network.input;
  if (network.prepare === 'digit') {
    const digit = prepareDigit(grey, H);
    byId('notes').textContent = digit ? digit.notes.map((note) => `Note: ${note}.`).join(' ') : 'No digit to be seen.';
    return digit?.pixels ?? null;
  }
  return mapped(resized(grey, H, W), clipped).values;
}

/* Say what is given: a sample as it is, or what a drawing or picture becomes. */
function describeGiven(isSample) {
  const size = `${network.input[0]} × ${network.input[1]}`;
  const prepared =
    network.prepare === 'digit'
      ? `Centred and scaled to ${size} pixels, like the images that it learned from.`
      : `Scaled to ${size} pixels.`;
  byId('given-hint').textContent = isSample ? `The sample as it is, ${size} pixels.` : prepared;
}

function toNetwork(pixels) {
  const [low, high] = network.pixels;
  return Float32Array.from(pixels, (value) => low + value * (high - low));
}

/* Something was drawn: compute at one of the next frames, once, and half of the time at most: the pen comes first. */
function changed(source) {
  state.source = source;
  if (state.waiting) return;
  state.waiting = true;
  setTimeout(() => requestAnimationFrame(computeDrawing), state.next - performance.now());
}

function computeDrawing() {
  state.waiting = false;
  if (state.source !== 'pad') return;
  const began = performance.now();
  markSample(null);
  describeGiven(false);
  const pixels = pad.isEmpty ? null : prepared(pad.picture());
  if (pad.isEmpty) byId('notes').textContent = '';
  compute(pixels && toNetwork(pixels), null);
  state.next = 2 * performance.now() - began;
}

function compute(x, label) {
  state.x = x;
  state.label = label;
  const shownInput = valuesOf(-1);
  state.outputs = forward(network, shownInput);
  drawGiven(shownInput);
  if (x) answer.show(state.outputs[state.outputs.length - 1], label);
  else answer.clear();
  byId('reading').textContent = x ? `answer: ${answer.element.textContent}` : '';
  views.get(-1).draw(shownInput);
  for (const layer of network.layers) views.get(layer.index).draw(state.outputs[layer.index]);
  if (state.unit) showCard(false);
  explainAnswer();
}

function drawGiven(x) {
  const [H, W, C] = network.input;
  const [low, high] = network.pixels;
  paintImage(
    byId('given'),
    H,
    W,
    C,
    x.map((value) => (value - low) / (high - low)),
  );
}

/* What speaks for the answer. */

let attribution = null; // the one that is being computed

/* How much outputs of the layers are for a class or number: what it has before the softmax, where there is one. */
function scoreFor(outputs, wanted) {
  const last = network.layers[network.layers.length - 1];
  const scores = outputs[last.kind.endsWith('Softmax') && last.reads[0] >= 0 ? last.reads[0] : last.index];
  if (network.output === 'yes or no') return wanted ? scores[0] : 1 - scores[0];
  return scores[wanted];
}

function explainAnswer() {
  const kind = byId('view').value;
  attribution = null;
  byId('view-hint').textContent = kind === 'none' ? '' : 'Draw something, or choose a picture.';
  if (kind === 'none' || !state.x) return;
  const chosen = byId('speaks-for').selectedIndex - 1;
  const wanted = chosen < 0 ? answer.best : chosen;
  const name = `“${network.names[wanted]}”`;
  const score = (x) => scoreFor(forward(network, x), wanted);
  const step = 0.02 * (network.pixels[1] - network.pixels[0]);
  const steps =
    kind === 'occlusion' ? occlusion(state.x, network.input, score) : gradient(state.x, network.input, score, step);
  const mine = { steps };
  attribution = mine;
  byId('view-hint').textContent = 'Computing …';
  const go = () => {
    if (attribution !== mine) return;
    const until = performance.now() + 12;
    while (performance.now() < until) {
      const step = steps.next();
      if (step.done) {
        drawAttribution(step.value);
        byId('view-hint').textContent =
          kind === 'occlusion'
            ? `Blue parts speak for ${name}: when they are covered, its score falls. Orange parts speak against it.`
            : `Where a little more brightness raises the score of ${name}: blue. Where it lowers it: orange.`;
        return;
      }
    }
    setTimeout(go, 0);
  };
  setTimeout(go, 150);
}

/* Over the image: blue speaks for the answer, orange against it. */
function drawAttribution(map) {
  const [H, W, C] = network.input;
  const largest = largestSize(map);
  paint(byId('given'), H, W, (i) => {
    const colour = colourOf(map[i] / largest);
    const bright = Math.min(
      Math.max((state.x[i * C] - network.pixels[0]) / (network.pixels[1] - network.pixels[0]), 0),
      1,
    );
    return colour.map((value) => Math.round(value * (0.55 + 0.45 * bright)));
  });
}

/* The layers. */

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
    layer.kind.replace(/([a-z])([A-Z])(?=[a-z]{2})/g, (_, end, start) => `${end} ${start.toLowerCase()}`);
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
  const section = element(
    'section',
    { class: 'layer', 'aria-label': nameOf(layer) },
    head,
    element('p', { class: 'hint' }, words),
    maps.element,
  );
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
      element(
        'p',
        { class: 'hint' },
        `A square for each weight, in the colours of numbers.${channels > 1 ? ` Each filter has ${height} × ${width} weights for each of ${channels} maps.` : ''}`,
      ),
      ...Array.from({ length: Math.min(filters, 64) }, (_, f) => {
        const row = element('div', { class: 'filter' }, element('span', {}, `${f + 1}`));
        for (let c = 0; c < Math.min(channels, 32); c++) {
          const canvas = element('canvas', { role: 'img', 'aria-label': `Filter ${f + 1} for map ${c + 1}` });
          paint(canvas, height, width, (i) => colourOf(layer.weights[(i * channels + c) * filters + f] / largest));
          row.append(canvas);
        }
        return row;
      }),
    );
  });
  return details;
}

/* Pointing at numbers, and the card. */

function listen(button, maps, map) {
  const { layout, layer } = maps;
  const at = (event) => {
    const box = button.firstChild.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * layout.rows);
    const column = Math.floor(((event.clientX - box.left) / box.width) * layout.columns);
    return layout.unit(map, row, column);
  };
  button.addEventListener('pointermove', (event) => {
    const unit = event.pointerType !== 'touch' && !state.held && cardIsBeside() && at(event);
    if (unit) choose(layer, unit, false);
  });
  button.addEventListener('click', (event) => {
    const unit = event.detail === 0 ? chosenIn(layer, map, layout) : at(event); // 0: by keyboard
    if (unit) choose(layer, unit, true);
  });
  button.addEventListener('focus', () => {
    if (button.matches(':focus-visible') && !state.held) choose(layer, chosenIn(layer, map, layout), false);
  });
  button.addEventListener('keydown', (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [, row, column] = layout.place(chosenIn(layer, map, layout));
    const unit = layout.unit(map, row + step[0], column + step[1]);
    if (unit) choose(layer, unit, state.held);
  });
}

/* Whether the card stands beside the layers; on narrow screens it lies over them, and only a click opens it. */
function cardIsBeside() {
  return matchMedia('(min-width: 1000px)').matches;
}

/* The number of a map that is chosen, or the one with the largest size. */
function chosenIn(layer, map, layout) {
  if (state.unit?.layer === layer && layout.place(state.unit.place)[0] === map) return state.unit.place;
  const values = layer.index < 0 ? (state.x ?? []) : state.outputs[layer.index];
  let best = layout.isRow ? [0, 0, 0] : [0, 0, map];
  for (let i = 0; i < values.length; i++) {
    const unit = layout.unitAt(i);
    if ((layout.isRow || unit[2] === map) && Math.abs(values[i]) > Math.abs(values[layout.index(best)])) best = unit;
  }
  return best;
}

function choose(layer, place, held) {
  state.unit = { layer, place };
  state.held = held;
  state.channel = null;
  showCard(true);
}

function valuesOf(place) {
  return place < 0
    ? (state.x ?? new Float32Array(network.input.reduce((a, b) => a * b, 1)).fill(network.pixels[0]))
    : state.outputs[place];
}

/* Mark the number and what it is computed from, and write its card. */
function showCard(speak) {
  const { layer, place } = state.unit;
  const maps = views.get(layer.index);
  const value = valuesOf(layer.index)[maps.layout.index(place)];
  for (const each of views.values()) each.unmark();
  const [map, row, column] = maps.layout.place(place);
  maps.mark(map, row, column, row + 1, column + 1, 'unit');
  if (layer.index >= 0) markSources(layer, place);
  const where = namesOutputs(layer)
    ? `“${network.names[place[2]]}”`
    : maps.layout.isRow
      ? `number ${place[2] + 1}`
      : `map ${place[2] + 1}, row ${place[0] + 1}, column ${place[1] + 1}`;
  const title = `${nameOf(layer)}: ${where}`;
  byId('card-title').textContent = title;
  const inputs = layer.reads.map(valuesOf);
  const body =
    layer.index < 0
      ? [
          says('A pixel of the image: 0 is background, 1 is full ink or full brightness.'),
          sum('The pixel', shown(value)),
        ]
      : explain(
          layer,
          place,
          inputs,
          value,
          layer.index === network.layers.length - 1 ? network.names : null,
          state.channel,
          (channel) => {
            state.channel = channel;
            state.held = true;
            showCard(false);
          },
        );
  const next = network.layers.find((each) => each.reads[0] === layer.index && isActivation(each));
  if (next && layer.weights) {
    const after = state.outputs[next.index][maps.layout.index(place)];
    body.push(sum(`Next, ${nameOf(next)} of ${shown(value)}`, shown(after)));
  }
  byId('card-body').replaceChildren(...body);
  byId('card').classList.add('open');
  document.body.classList.add('covered');
  byId('close').hidden = false;
  if (speak) byId('spoken').textContent = `${title}: ${shown(value)}`;
}

function markSources(layer, place) {
  const boxes = new Map(); // for each map that is read: the box around the numbers that are
  if (layer.kind === 'Dense') {
    const maps = views.get(layer.reads[0]);
    for (const [i] of strongestInputs(layer, place, valuesOf(layer.reads[0])).slice(0, STRONGEST)) {
      const [map, row, column] = maps.layout.place(unitOf(layer.inputs[0], i));
      maps.mark(map, row, column, row + 1, column + 1);
    }
    return;
  }
  for (const [k, unit] of sourcesOf(layer, place)) {
    const { layout } = views.get(layer.reads[k]);
    const [map, row, column] = layout.place(unit);
    const key = `${layer.reads[k]} ${map}`;
    const box = boxes.get(key);
    boxes.set(
      key,
      box
        ? [
            box[0],
            box[1],
            Math.min(box[2], row),
            Math.min(box[3], column),
            Math.max(box[4], row + 1),
            Math.max(box[5], column + 1),
          ]
        : [layer.reads[k], map, row, column, row + 1, column + 1],
    );
  }
  for (const [read, ...box] of boxes.values()) views.get(read).mark(...box);
}

function letGo() {
  if (!state.unit) return;
  state.unit = null;
  state.held = false;
  for (const each of views.values()) each.unmark();
  byId('card').classList.remove('open');
  document.body.classList.remove('covered');
  byId('close').hidden = true;
  byId('card-title').textContent = 'How a number is made';
  byId('card-body').replaceChildren(element('p', { class: 'hint' }, 'Point at a square of any layer, or tap it.'));
}

/* Samples and files. */

function markSample(chosen) {
  for (const button of byId('strip').children) button.setAttribute('aria-pressed', String(button === chosen));
}

function sampleOf(number) {
  const size = network.input.reduce((a, b) => a * b, 1);
  const text = atob(network.samples.pixels);
  const bytes = Uint8Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
  if (network.samples.type === 'bytes') {
    return toNetwork(Float32Array.from(bytes.subarray(number * size, (number + 1) * size), (value) => value / 255));
  }
  return new Float32Array(bytes.buffer, 4 * number * size, size);
}

function fillSamples() {
  if (!network.samples) return;
  byId('attribution').textContent = network.samples.attribution;
  const [low, high] = network.pixels;
  network.samples.labels.forEach((label, number) => {
    const x = sampleOf(number);
    const name = network.output === 'numbers' || label === null ? '' : `: ${network.names[label]}`;
    const canvas = element('canvas');
    const [H, W, C] = network.input;
    paintImage(
      canvas,
      H,
      W,
      C,
      x.map((value) => (value - low) / (high - low)),
    );
    const button = element(
      'button',
      {
        type: 'button',
        'aria-pressed': 'false',
        'aria-label': `Sample ${number + 1}${name}`,
      },
      canvas,
    );
    button.addEventListener('click', () => takePicture(x, label, button));
    byId('strip').append(button);
  });
}

function takePicture(x, label, button) {
  state.source = 'picture';
  pad.clear();
  if (button) byId('notes').textContent = '';
  describeGiven(button !== null);
  markSample(button);
  compute(x, label);
}

/* A picture file: in grey values or colours as `cnnx predict` reads it, transparent parts on white. */
async function openFile(file) {
  const [H, W, C] = network.input;
  let image;
  try {
    image = await createImageBitmap(file);
  } catch {
    byId('notes').textContent = `${file.name}: expected a picture: a PNG, JPEG, WebP or BMP file.`;
    return;
  }
  const scale = Math.min(1, 1600 / Math.max(image.width, image.height));
  const [height, width] = [image.height, image.width].map((length) => Math.max(4, Math.round(length * scale)));
  const context = element('canvas', { width, height }).getContext('2d');
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const channel = (choose) =>
    picture(
      height,
      width,
      Float32Array.from({ length: height * width }, (_, i) => choose(4 * i) / 255),
    );
  if (C === 1) {
    const grey = channel((i) =>
      Math.floor((data[i] * 19595 + data[i + 1] * 38470 + data[i + 2] * 7471 + 32768) / 65536),
    );
    const pixels = prepared(grey);
    takePicture(pixels && toNetwork(pixels), null, null);
    return;
  }
  const colours = [0, 1, 2].map(
    (c) =>
      mapped(
        resized(
          channel((i) => data[i + c]),
          H,
          W,
        ),
        clipped,
      ).values,
  );
  takePicture(
    toNetwork(Float32Array.from({ length: H * W * C }, (_, i) => colours[i % C][Math.floor(i / C)])),
    null,
    null,
  );
}

/* Putting it together. */

function start() {
  readColours();
  const weights = network.layers.reduce(
    (all, layer) =>
      all + Object.values(layer.parameters).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    0,
  );
  byId('about').textContent =
    `${counted(network.layers.length, 'layer')}, ${weights.toLocaleString('en')} numbers learned in training. It runs here, in your browser.`;
  const isDrawn = network.input[2] === 1;
  byId('draw').hidden = !isDrawn;
  byId('draw').parentElement.classList.toggle('undrawn', !isDrawn);
  byId('speaks').hidden = network.layers[network.layers.length - 1].shape.length > 1;
  for (const name of ['the answer', ...network.names]) byId('speaks-for').append(element('option', {}, name));
  describeGiven(false);
  for (const level of levels()) byId('layers').append(element('div', { class: 'level' }, ...level.map(layerSection)));
  fillSamples();
  byId('thickness').addEventListener('input', (event) => {
    pad.thickness = Number(event.target.value);
  });
  byId('undo').addEventListener('click', () => pad.undo());
  byId('clear').addEventListener('click', () => {
    pad.clear();
    changed('pad');
  });
  byId('save').addEventListener('click', () => pad.save());
  for (const name of ['view', 'speaks-for']) {
    byId(name).addEventListener('change', () => {
      drawGiven(valuesOf(-1));
      explainAnswer();
    });
  }
  byId('close').addEventListener('click', letGo);
  byId('file').addEventListener('change', (event) => {
    if (event.target.files[0]) openFile(event.target.files[0]);
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') letGo();
    if (event.target.closest('input, select')) return;
    if (event.key === 'Delete' || event.key === 'Backspace') {
      pad.clear();
      changed('pad');
    }
    if (event.key === 'z' && (event.ctrlKey || event.metaKey)) pad.undo();
  });
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  document.addEventListener('dragleave', () => document.body.classList.remove('dropping'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dropping');
    if (event.dataTransfer.files[0]) openFile(event.dataTransfer.files[0]);
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    readColours();
    compute(state.x, state.label);
  });
  compute(null, null);
  if (!isDrawn && network.samples) byId('strip').firstChild.click();
}

start();
