'use strict';

/* What speaks for an answer, or raises a number: two maps over the image that the network is given. Both ask the network
   again and again, a part of the image at a time, so that the page stays quick; `score(x)` is how much it is for the
   answer, or the number. */

/* How much the answer loses when a square of the image is covered. Source: Zeiler and Fergus, "Visualizing and
   understanding convolutional networks", 2014, section 4.2. Yields after each square; returns a map (H, W). */
function* occlusion(x, [H, W, C], score) {
  const side = Math.max(2, Math.round(Math.min(H, W) / 6));
  const step = Math.max(1, Math.floor(side / 2));
  const whole = score(x);
  const losses = new Float32Array(H * W);
  const counts = new Float32Array(H * W);
  const background = x.slice().sort()[Math.floor(x.length / 2)];
  for (let top = 0; top < H; top += step) {
    for (let left = 0; left < W; left += step) {
      const covered = x.slice();
      const places = [];
      for (let row = top; row < Math.min(top + side, H); row++) {
        for (let column = left; column < Math.min(left + side, W); column++) places.push(row * W + column);
      }
      for (const place of places) covered.fill(background, place * C, (place + 1) * C);
      const loss = whole - score(covered);
      for (const place of places) {
        losses[place] += loss;
        counts[place]++;
      }
      yield;
    }
  }
  return losses.map((loss, i) => loss / counts[i]);
}

/* How fast the answer rises when a pixel is made brighter, by differences: the gradient by the image. Source: Simonyan
   et al., "Deep inside convolutional networks", 2014, section 3. Pixels change by `little`.
   Yields after each pixel; returns a map (H, W). */
function* gradient(x, [H, W, C], score, little) {
  const slopes = new Float32Array(H * W);
  const now = score(x);
  for (let place = 0; place < H * W; place++) {
    const changed = x.slice();
    for (let i = place * C; i < (place + 1) * C; i++) changed[i] += little;
    slopes[place] = (score(changed) - now) / little;
    yield;
  }
  return slopes;
}

/* Take the steps of such a map, some at a time, as long as isWanted(); then call done(map). Waits a little first: while
   somebody draws or points, the next one is wanted soon. */
function takeSteps(steps, isWanted, done) {
  const go = () => {
    const until = performance.now() + 12;
    while (isWanted() && performance.now() < until) {
      const step = steps.next();
      if (step.done) {
        done(step.value);
        return;
      }
    }
    if (isWanted()) setTimeout(go, 0);
  };
  setTimeout(go, 150);
}

/* Draw a map over the image x: blue where it is positive, orange where it is negative. */
function drawAttribution(canvas, map, x) {
  const [H, W, C] = network.input;
  const [low, high] = network.pixels;
  const largest = largestSize(map);
  paint(canvas, H, W, (i) => {
    const bright = Math.min(Math.max((x[i * C] - low) / (high - low), 0), 1);
    return colourOf(map[i] / largest).map((value) => Math.round(value * (0.55 + 0.45 * bright)));
  });
}

/* How much a pixel is made brighter to see what that does. */
function littleBrighter() {
  return 0.02 * (network.pixels[1] - network.pixels[0]);
}
