'use strict';

/* What speaks for the answer, or for another class, over the image that the network is given. */

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
  const steps =
    kind === 'occlusion'
      ? occlusion(state.x, network.input, score)
      : gradient(state.x, network.input, score, littleBrighter());
  attribution = steps;
  byId('view-hint').textContent = 'Computing …';
  takeSteps(
    steps,
    () => attribution === steps,
    (map) => {
      drawAttribution(byId('given'), map, state.x);
      byId('view-hint').textContent =
        kind === 'occlusion'
          ? `Blue parts speak for ${name}: when they are covered, its score falls. Orange parts speak against it.`
          : `Where a little more brightness raises the score of ${name}: blue. Where it lowers it: orange.`;
    },
  );
}
