'use strict';

/* Numbers as pictures: each map of a layer is a button with a canvas, a square a number. */

const STEPS = 127; // of colours on each side of zero
const COLOURS = {}; // positive, zero, negative; `all` has them from the most negative on, as pixels

/* Read the colours of the style sheet, as [red, green, blue]. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ['positive', 'zero', 'negative']) {
    const text = style.getPropertyValue(`--${name}`).trim();
    COLOURS[name] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  }
  const bytes = new Uint8ClampedArray(4 * (2 * STEPS + 1));
  for (let i = -STEPS; i <= STEPS; i++) bytes.set([...colourOf(i / STEPS), 255], 4 * (i + STEPS));
  COLOURS.all = new Uint32Array(bytes.buffer);
}

/* The colour of a number from -1 to 1. */
function colourOf(part) {
  const end = part < 0 ? COLOURS.negative : COLOURS.positive;
  const size = Math.min(Math.abs(part) || 0, 1);
  return COLOURS.zero.map((value, i) => Math.round(value + (end[i] - value) * size));
}

/* Draw numbers on a canvas, one pixel each; colour(i) is [red, green, blue] of number i, or null for none. */
function paint(canvas, rows, columns, colour) {
  if (canvas.width !== columns || canvas.height !== rows) [canvas.width, canvas.height] = [columns, rows];
  const context = canvas.getContext('2d');
  const image = context.createImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) {
    const found = colour(i);
    if (found) image.data.set([...found, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

function largestSize(values) {
  let largest = 0;
  for (const value of values) if (Math.abs(value) > largest) largest = Math.abs(value);
  return largest || 1;
}

/* How the maps of a layer lie: images one map a channel, rows of numbers all in one map. */
class Layout {
  constructor(layer) {
    [this.height, this.width, this.channels] = layer.output;
    this.isRow = layer.shape.length === 1;
    this.columns = this.isRow ? columnsFor(this.channels) : this.width;
    this.rows = this.isRow ? Math.ceil(this.channels / this.columns) : this.height;
    this.count = this.isRow ? 1 : this.channels;
  }

  /* The number at a place of a map, as [row, column, channel]; null beyond the last. */
  unit(map, row, column) {
    if (row < 0 || column < 0 || row >= this.rows || column >= this.columns) return null;
    if (!this.isRow) return [row, column, map];
    const channel = row * this.columns + column;
    return channel < this.channels ? [0, 0, channel] : null;
  }

  /* Where a number is: [map, row, column]. */
  place([row, column, channel]) {
    return this.isRow ? [0, Math.floor(channel / this.columns), channel % this.columns] : [channel, row, column];
  }

  index([row, column, channel]) {
    return (row * this.width + column) * this.channels + channel;
  }

  unitAt(index) {
    const channel = index % this.channels;
    const place = Math.floor(index / this.channels);
    return [Math.floor(place / this.width), place % this.width, channel];
  }

  /* The side of a number's square on the screen. */
  get side() {
    if (this.isRow) return this.channels <= 12 ? 32 : this.channels <= 512 ? 13 : 8;
    const longer = Math.max(this.width, this.height);
    return (longer <= 32 ? 84 : 128) / longer;
  }
}

/* As many numbers in a line as make whole lines where that can be. */
function columnsFor(count) {
  if (count > 512) return 64;
  for (const columns of [40, 32, 30, 28, 24, 20]) if (count > columns && count % columns === 0) return columns;
  return Math.min(count, 32);
}

/* The maps of one layer. */
class Maps {
  constructor(layer, name) {
    this.layer = layer;
    this.layout = new Layout(layer);
    this.element = element('div', { class: 'maps' });
    this.buttons = [];
    for (let map = 0; map < this.layout.count; map++) {
      const what = this.layout.isRow
        ? counted(this.layout.channels, 'number')
        : `map ${map + 1} of ${this.layout.count}`;
      const canvas = element('canvas');
      const button = element('button', { type: 'button', class: 'map', 'aria-label': `${name}: ${what}` }, canvas);
      canvas.style.width = `calc(${this.layout.columns * this.layout.side}px * var(--zoom))`;
      canvas.style.aspectRatio = `${this.layout.columns} / ${this.layout.rows}`;
      this.buttons.push(button);
      this.element.append(button);
    }
  }

  /* Without values, all are zero. */
  draw(values) {
    const { rows, columns, count, isRow } = this.layout;
    const scale = STEPS / largestSize(values);
    this.buttons.forEach((button, map) => {
      const canvas = button.firstChild;
      if (canvas.width !== columns || canvas.height !== rows) [canvas.width, canvas.height] = [columns, rows];
      const image = new ImageData(columns, rows);
      const pixels = new Uint32Array(image.data.buffer);
      const shownHere = isRow ? this.layout.channels : rows * columns;
      for (let i = 0; i < shownHere; i++) {
        const value = values[isRow ? i : i * count + map] ?? 0;
        pixels[i] = COLOURS.all[STEPS + Math.min(Math.max(Math.round(value * scale) || 0, -STEPS), STEPS)];
      }
      canvas.getContext('2d').putImageData(image, 0, 0);
    });
  }

  /* Frame places of a map: rows and columns from first to last, in squares. */
  mark(map, top, left, bottom, right, kind = 'window') {
    const button = this.buttons[map];
    const { rows, columns } = this.layout;
    const mark = element('span', { class: `mark ${kind}` });
    const clip = (value, size) => Math.min(Math.max(value, 0), size);
    mark.style.top = `${(100 * clip(top, rows)) / rows}%`;
    mark.style.left = `${(100 * clip(left, columns)) / columns}%`;
    mark.style.height = `${(100 * (clip(bottom, rows) - clip(top, rows))) / rows}%`;
    mark.style.width = `${(100 * (clip(right, columns) - clip(left, columns))) / columns}%`;
    button.append(mark);
    button.classList.add('touched');
  }

  unmark() {
    for (const button of this.buttons) {
      button.classList.remove('touched');
      for (const mark of button.querySelectorAll('.mark')) mark.remove();
    }
  }
}
