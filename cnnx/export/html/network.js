'use strict';

/* A network: its parameters out of base64, and its layers run in order. */

/* Put the parameters of each layer beside its settings, as arrays. */
function readParameters(description, base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const view = new DataView(bytes.buffer);
  for (const layer of description.layers) {
    for (const [name, { type, shape, start }] of Object.entries(layer.parameters)) {
      const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
      for (let i = 0; i < values.length; i++) {
        values[i] =
          type === 'float16'
            ? halfPrecision(view.getUint16(start + 2 * i, true))
            : view.getFloat32(start + 4 * i, true);
      }
      layer[name] = values;
    }
  }
}

/* The number that 16 bits stand for: sign, 5 bits of exponent, 10 of fraction (IEEE 754). */
function halfPrecision(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14);
}

/* Return what each layer gives, in order; only as far as layer `last`, if given. */
function forward(description, x, last = description.layers.length - 1) {
  const outputs = [];
  for (const layer of description.layers.slice(0, last + 1)) {
    const inputs = layer.reads.map((place) => (place < 0 ? x : outputs[place]));
    const merges = ['Add', 'Multiply', 'Concatenate'].includes(layer.kind);
    outputs.push(LAYERS[layer.kind](merges ? inputs : inputs[0], layer));
  }
  return outputs;
}
