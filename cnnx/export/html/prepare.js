'use strict';

/* A picture of one digit made like the images of MNIST.

   The same steps, names and numbers as cnnx/data/digits.py, which says why. */

const BOX = 20 / 28;
const THINNEST = 1.9 / 20;
const THICK = 0.17;
const HALO = 0.2;

/* Return {pixels, notes} for grey values from 0 to 1, or null if no digit is seen. */
function prepareDigit(grey, size) {
  if (isLikeMnist(grey, size)) {
    return { pixels: upright(grey).values, notes: [] };
  }
  const found = Math.max(grey.height, grey.width) < FEW ? digitOfFewPixels(grey) : digitOnPaper(grey);
  if (!found) return null;
  return { pixels: placed(scaled(cropped(found.ink), rounded(size * BOX)), size).values, notes: found.notes };
}

/* Light on dark. */
function upright(grey) {
  return median(grey.values) < 0.5 ? grey : mapped(grey, (value) => 1 - value);
}

function isLikeMnist(grey, size) {
  if (grey.height !== size || grey.width !== size) return false;
  const pixels = upright(grey);
  let edge = 0;
  for (let i = 0; i < size; i++) {
    for (const place of [i, (size - 1) * size + i, i * size, i * size + size - 1]) {
      edge = Math.max(edge, pixels.values[place]);
    }
  }
  if (edge > 0.1 || range(pixels.values)[1] < 0.5) return false;
  const isOfSize = Math.abs(sizeOf(boxOf(mapped(pixels, (value) => Number(value > 0.1)))) / size - BOX) < 0.1;
  return isOfSize && centreOfMass(pixels).every((place) => Math.abs(place - size / 2) <= 1.5);
}

function centreOfMass({ width, values }) {
  const all = total(values);
  let [rows, columns] = [0, 0];
  values.forEach((value, i) => {
    rows += value * Math.floor(i / width);
    columns += value * (i % width);
  });
  return [rows / all, columns / all];
}

function digitOfFewPixels(grey) {
  const ink = inkOfFewPixels(darkOnLight(grey, true));
  return ink && { ink, notes: [`the picture has less than ${FEW} pixels a side`] };
}

function digitOnPaper(grey) {
  const even = Math.max(grey.height, grey.width) < PLAIN;
  const work = scaledToWork(grey);
  for (const ink of inksOfTwoLevels(work)) {
    if (fillsThePicture(inked(ink))) return { ink: bolder(cropped(ink)), notes: [AT_EDGE] };
  }
  const dark = darkOnLight(work, even);
  let digit = found(dark, even);
  if (!digit || isSheet(digit.mask))
    digit =
      foundOnNegative(
        mapped(dark, (value) => 1 - value),
        even,
        digit,
      ) || digit;
  if (!digit) return null;
  const near = dilated(digit.mask).values;
  return { ink: bolder(cropped(mapped(digit.ink, (value, i) => (near[i] ? value : 0)))), notes: digit.notes };
}

function inked(ink) {
  return mapped(ink, (value) => Number(value > 0.5));
}

function found(work, even) {
  const ink = inkOf(work, even);
  const notes = [];
  const mask = ink && digitMask(strokes(ink), notes);
  return mask && { ink, mask, notes };
}

function foundOnNegative(work, even, sheet) {
  const digit = found(work, even);
  if (!digit || (!sheet && isSheet(digit.mask))) return null;
  if (!sheet) return digit;
  const inner = boxOf(digit.mask);
  const outer = boxOf(sheet.mask);
  const isAround = inner[0] <= outer[0] && inner[2] <= outer[2] && inner[1] >= outer[1] && inner[3] >= outer[3];
  const isSmall = sizeOf(inner) < 0.35 * sizeOf(outer);
  return isAround || isSmall || strokeWidth(digit.mask) > THICK ? null : digit;
}

function cropped(ink) {
  return cut(ink, ...boxOf(mapped(ink, (value) => Number(value > HALO))));
}

function bolder(ink) {
  const by = rounded(((THINNEST - strokeWidth(inked(ink))) * Math.max(ink.height, ink.width)) / 2);
  return by < 1 ? ink : dilated(padded(ink, by), by);
}

function scaled(strength, longest) {
  const ratio = longest / Math.max(strength.height, strength.width);
  const [height, width] = [strength.height, strength.width].map((length) => Math.max(1, rounded(length * ratio)));
  const digit = mapped(resized(strength, height, width), clipped);
  const highest = range(digit.values)[1];
  return mapped(digit, (value) => value / highest);
}

/* The digit in an empty square, with its centre of mass in the middle. */
function placed(digit, size) {
  const image = picture(size, size);
  const [top, left] = centreOfMass(digit).map((centre, axis) => {
    const length = axis === 0 ? digit.height : digit.width;
    return Math.min(Math.max(rounded(size / 2 - centre), 0), size - length);
  });
  for (let row = 0; row < digit.height; row++) {
    image.values.set(digit.values.subarray(row * digit.width, (row + 1) * digit.width), (top + row) * size + left);
  }
  return image;
}
