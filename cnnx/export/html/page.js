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
      ? `Scaled to ${size} pixels, the middle of its ink in the middle, like the images that it learned from.`
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
  state.outputs = x ? forward(network, x) : [];
  drawGiven(valuesOf(-1));
  if (x) answer.show(state.outputs[state.outputs.length - 1], label);
  else answer.clear(pad.isEmpty);
  byId('reading').textContent = x ? `answer: ${answer.element.textContent}` : '';
  views.get(-1).draw(valuesOf(-1));
  for (const layer of network.layers) views.get(layer.index).draw(state.outputs[layer.index] ?? []);
  if (!x) letGo();
  else if (state.unit) showCard(false);
  explainAnswer();
}

/* What a layer gave, or at place -1 what the network is given: an empty image where there is none. */
function valuesOf(place) {
  return place < 0
    ? (state.x ?? new Float32Array(network.input.reduce((a, b) => a * b, 1)).fill(network.pixels[0]))
    : state.outputs[place];
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

/* Draw with the chosen thickness, and show a dot as wide as strokes are on the pad. */
function showThickness() {
  pad.thickness = Number(byId('thickness').value);
  byId('dot').style.width = `${(pad.thickness / PAD_SIDE) * byId('pad').clientWidth}px`;
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
  byId('thickness').addEventListener('input', showThickness);
  showThickness();
  byId('undo').addEventListener('click', () => pad.undo());
  byId('clear').addEventListener('click', () => {
    pad.clear();
    changed('pad');
  });
  byId('save').addEventListener('click', () => pad.save());
  for (const name of ['view', 'speaks-for']) {
    byId(name).addEventListener('change', () => {
      if (name === 'speaks-for' && byId('view').value === 'none') byId('view').value = 'occlusion';
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
