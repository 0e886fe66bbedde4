'use strict';

/* What speaks for an answer: two maps over the image that the network is given. Both ask the network again and again,
   a part of the image at a time, so that the page stays quick; `score(x)` is how much it is for the answer. */

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
