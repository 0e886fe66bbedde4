'use strict';

/* Pictures to choose: samples that the page has, and files. */

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
