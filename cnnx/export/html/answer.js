'use strict';

/* The answer: what the last layer gives, as a class with its probability, as numbers, or as a picture. */

const LEAST_PROBABILITY = 0.9; // below it, the network is not sure
const MOST_SHOWN = 12;
/* Colours of a map of classes. Source: Okabe and Ito, "Color universal design", 2008. */
const OF_CLASSES = [
  [0, 0, 0],
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [0, 114, 178],
  [213, 94, 0],
  [204, 121, 167],
];

/* Probabilities of classes out of what the network gives, or null where it gives none. */
function probabilitiesOf(output, values) {
  const numbers = Array.from(values);
  if (output === 'probabilities') return numbers;
  if (output === 'logarithms') return numbers.map(Math.exp);
  if (output === 'yes or no') return [1 - numbers[0], numbers[0]];
  if (output !== 'logits') return null;
  const largest = Math.max(...numbers);
  const powers = numbers.map((number) => Math.exp(number - largest));
  const all = powers.reduce((one, other) => one + other, 0);
  return powers.map((power) => power / all);
}

class Answer {
  constructor(network) {
    this.network = network;
    this.element = document.getElementById('answer');
    this.verdict = document.getElementById('verdict');
    this.scores = document.getElementById('scores');
    this.picture = document.getElementById('answer-picture');
    this.clear();
  }

  clear(isEmpty = true) {
    this.element.replaceChildren('–');
    const ask = this.network.input[2] === 1 ? 'Draw something, or choose a picture below.' : 'Choose a picture below.';
    this.verdict.textContent = isEmpty ? ask : 'No digit to read.';
    this.scores.replaceChildren();
    this.picture.hidden = true;
  }

  /* Show what the network gives; `label` is the true class of a sample, or null. */
  show(values, label) {
    const last = this.network.layers[this.network.layers.length - 1];
    if (last.shape.length > 1) this.showPicture(values, last);
    else this.showNumbers(values, label);
  }

  showNumbers(values, label) {
    const probabilities = probabilitiesOf(this.network.output, values);
    const names = this.network.names;
    const numbers = probabilities ?? Array.from(values);
    const order = numbers.map((_, i) => i);
    if (numbers.length > MOST_SHOWN) order.sort((a, b) => numbers[b] - numbers[a]);
    const best = numbers.indexOf(Math.max(...numbers));
    this.best = best;
    if (probabilities) {
      const name = names[best];
      this.element.classList.toggle('long', name.length > 8);
      this.element.replaceChildren(name, ' ', element('small', {}, percent(numbers[best])));
      const sure =
        numbers[best] < LEAST_PROBABILITY
          ? `The network is not sure: less than ${100 * LEAST_PROBABILITY}\u00a0%.`
          : '';
      const right =
        label === null
          ? ''
          : label === best
            ? 'Right: that is its label.'
            : `Wrong: its label is ${names[label]}, to which the network gives ${percent(numbers[label])}. “What speaks for” compares the two.`;
      this.verdict.textContent = [right, sure].filter(Boolean).join(' ');
    } else {
      this.element.classList.add('long');
      this.element.replaceChildren(
        Array.from(values.slice(0, 3), (value) => shown(value)).join(', ') + (values.length > 3 ? ' …' : ''),
      );
      this.verdict.textContent = label === null ? '' : `Its target: ${[label].flat().map(shown).join(', ')}.`;
    }
    const largest = probabilities ? 1 : largestSize(numbers);
    const list = this.list(order.slice(0, MOST_SHOWN).map((i) => names[i]));
    for (const i of order.slice(0, MOST_SHOWN)) {
      const bar = element('i', { class: numbers[i] < 0 ? 'negative' : '' });
      bar.style.width = `${(100 * Math.abs(numbers[i])) / largest}%`;
      list.append(
        element(
          'li',
          { class: probabilities && i === best ? 'best' : '' },
          element('span', { class: 'name' }, names[i]),
          element('span', { class: 'bar' }, bar),
          element('span', { class: 'number' }, probabilities ? percent(numbers[i]) : shown(numbers[i])),
        ),
      );
    }
    this.scores.replaceChildren(list);
    if (probabilities) this.scores.append(hint('It has to choose, whatever is drawn.'));
  }

  /* An empty list whose names have room for the longest one. */
  list(names) {
    const list = element('ol', { class: 'scores' });
    list.style.setProperty('--name', `${0.6 * Math.min(Math.max(...names.map((name) => name.length)), 16) + 0.6}em`);
    return list;
  }

  showPicture(values, last) {
    const [rows, columns, channels] = last.output;
    this.picture.hidden = false;
    const isOfClasses = this.network.output !== 'numbers';
    if (isOfClasses) {
      const found = new Set();
      paint(this.picture, rows, columns, (i) => {
        const numbers = values.subarray(i * channels, (i + 1) * channels);
        const best = numbers.indexOf(Math.max(...numbers));
        found.add(best);
        return OF_CLASSES[best % OF_CLASSES.length];
      });
      this.element.classList.add('long');
      this.element.replaceChildren(`${counted(found.size, 'class').replace('classs', 'classes')} seen`);
      const list = element('ol', { class: 'legend-of-classes' });
      for (const i of [...found].sort((a, b) => a - b).slice(0, MOST_SHOWN)) {
        const patch = element('span', { class: 'patch' });
        patch.style.background = `rgb(${OF_CLASSES[i % OF_CLASSES.length].join(' ')})`;
        list.append(element('li', {}, patch, this.network.names[i]));
      }
      this.scores.replaceChildren(list);
      this.verdict.textContent = 'The likeliest class of each place, by colour.';
    } else {
      this.element.classList.add('long');
      this.element.replaceChildren('A picture');
      this.verdict.textContent = '';
      paintImage(this.picture, rows, columns, channels, values);
    }
  }
}

/* Draw an image of one channel as grey, of three as colours, of others the first; scaled where it leaves 0 to 1. */
function paintImage(canvas, rows, columns, channels, values) {
  let [lowest, highest] = [0, 1];
  for (const value of values) [lowest, highest] = [Math.min(lowest, value), Math.max(highest, value)];
  const byte = (value) => Math.round((255 * (value - lowest)) / (highest - lowest));
  paint(canvas, rows, columns, (i) => [0, 1, 2].map((c) => byte(values[i * channels + (channels === 3 ? c : 0)])));
}
