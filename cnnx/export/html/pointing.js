'use strict';

/* Pointing at numbers: what they are computed from is marked, and the card shows how. */

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
  if (!state.x) return; // an empty pad has no numbers
  state.unit = { layer, place };
  state.held = held;
  state.channel = null;
  showCard(true);
  keepInSight(views.get(layer.index).buttons[views.get(layer.index).layout.place(place)[0]]);
}

/* Where the card lies over the layers: scroll so that it does not cover the map that was tapped. */
function keepInSight(button) {
  if (cardIsBeside()) return;
  const covered = button.getBoundingClientRect().bottom - byId('card').getBoundingClientRect().top;
  if (covered > 0) scrollBy(0, covered + 8);
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
  if (layer.weights && layer.window && layer.reads[0] >= 0) body.push(lookedFor(layer, place));
  const hold = state.held ? 'Held: Escape lets go. ' : 'Click to hold this card. ';
  body.unshift(hint(`${cardIsBeside() ? hold : ''}Numbers are rounded.`));
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
  byId('card-body').replaceChildren(hint('Point at a square of any layer, or tap it.'));
}
