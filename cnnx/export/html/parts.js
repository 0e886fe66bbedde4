'use strict';

/* The parts of a digit: which strokes of a picture are the digit, and which a frame, dust or another digit.

   The same steps, names and numbers as cnnx/data/digit_parts.py, which says why. */

const AT_EDGE = 'the digit touches the edge of the picture: leave a margin around it';
const ONE_DIGIT = 'expected one digit in a picture, and ignored';
const OUTER = 0.25;
const THINNEST_PART = 0.04;
const NEAR = 0.3;
const SIDE_BY_SIDE = 0.12;
const SOLID = 0.33;
const FILLED = 0.75;
const WIDE = 0.2;
const MOST_CROSSED = 3;
const FILLING = 0.93;
const LEAST_SIZE = 0.1;

/* The part of a mask that is the digit, or null; adds to notes. */
function digitMask(given, notes) {
  const mask = withoutFrame(given);
  const longer = Math.max(mask.height, mask.width);
  const labels = connectedComponents(mask);
  const [boxes, areas] = boundingBoxes(labels);
  if (!areas.length) return null;
  const atEdge = boxes.map((box) => box[0] === 0 || box[2] === 0 || box[1] === mask.height || box[3] === mask.width);
  const sizes = boxes.map(sizeOf);
  const reached = middleLabels(labels);
  const surrounds = surrounding(labels, boxes, sizes);
  const outside = boxes.map((_, i) => surrounds[i] || (atEdge[i] && !reached.has(i + 1)));
  let candidates = boxes.map((_, i) => !outside[i] && sizes[i] >= LEAST_SIZE * longer);
  if (!candidates.includes(true)) candidates = sizes.map((size) => size >= LEAST_SIZE * longer);
  if (!candidates.includes(true)) return null;
  const weighed = areas.map((area, i) => (candidates[i] ? area : 0));
  const main = weighed.indexOf(Math.max(...weighed));
  const belongs = belonging(
    boxes,
    areas,
    main,
    outside.map((is) => !is),
  );
  const others = areas.filter((area, i) => !belongs[i] && !outside[i] && area > 0.2 * areas[main]).length;
  if (others) notes.push(`${ONE_DIGIT} ${others} more of similar size; strokes of a digit touch, or nearly so`);
  if (surrounds.some((is, i) => is && !belongs[i])) notes.push(`${ONE_DIGIT} what is drawn around it`);
  if (atEdge.some((is, i) => is && belongs[i])) notes.push(AT_EDGE);
  return mapped(labels, (label) => Number(label > 0 && belongs[label - 1]));
}

/* Whether a mask is hardly more than one digit as large as the picture. */
function fillsThePicture(mask) {
  const longer = Math.max(mask.height, mask.width);
  const labels = connectedComponents(mask);
  const [boxes, areas] = boundingBoxes(labels);
  const lines = linesAtEdges(mask).filter(({ length }) => length >= 0.9);
  if (!areas.length || isSheet(mask) || lines.length > 1) return false;
  if (Math.max(crossings(mask), crossings(transposed(mask))) > MOST_CROSSED) return false;
  const edges = [
    cut(mask, 0, 1, 0, mask.width),
    cut(mask, mask.height - 1, mask.height, 0, mask.width),
    cut(mask, 0, mask.height, 0, 1),
    cut(mask, 0, mask.height, mask.width - 1, mask.width),
  ];
  const covered = Math.max(...edges.map((edge) => mean(edge.values)));
  const side = Math.trunc(WIDE * longer) + 1;
  if (covered > 0.9 && side <= Math.min(mask.height, mask.width) && hasFilledSquare(mask, side)) return false;
  const main = areas.indexOf(Math.max(...areas));
  const belongs = belonging(
    boxes,
    areas,
    main,
    boxes.map(() => true),
  );
  const [top, bottom, left, right] = around(boxes.filter((_, i) => belongs[i]));
  const size = mask.height >= mask.width ? bottom - top : right - left;
  const all = total(mask.values);
  const isOne = areas[main] > 0.5 * all && total(areas.filter((_, i) => belongs[i])) > 0.9 * all;
  return isOne && middleLabels(labels).has(main + 1) && size > FILLING * longer;
}

/* How many strokes a row crosses below the first, a mean over columns. */
function crossings(mask) {
  let count = 0;
  for (let i = mask.width; i < mask.values.length; i++) count += mask.values[i] > mask.values[i - mask.width];
  return count / mask.width;
}

/* Whether a square of so many pixels that is all ink fits into a mask. */
function hasFilledSquare(mask, side) {
  const empty = largestInSquares(
    mapped(mask, (value) => 1 - value),
    side,
  );
  return empty.values.includes(0);
}

/* The mean width of strokes, in lengths of the digit. */
function strokeWidth(mask) {
  const { height, width, values } = padded(mask, 1);
  let outline = 0;
  for (let i = 0; i < values.length; i++) {
    if (i + width < values.length) outline += values[i] !== values[i + width];
    if ((i % width) + 1 < width) outline += values[i] !== values[i + 1];
  }
  return (2 * total(mask.values)) / outline / sizeOf(boxOf(mask));
}

function isSheet(mask) {
  const [top, bottom, left, right] = boxOf(mask);
  const [height, width] = [bottom - top, right - left];
  const side = Math.trunc(SOLID * Math.max(height, width)) + 1;
  if (Math.min(height / mask.height, width / mask.width) < 0.5 || Math.min(height, width) < side) return false;
  return total(mask.values) > FILLED * height * width || hasFilledSquare(cut(mask, top, bottom, left, right), side);
}

/* The box around what is not 0: [top, bottom, left, right]. */
function boxOf(mask) {
  const box = [mask.height, 0, mask.width, 0];
  mask.values.forEach((value, i) => {
    if (!value) return;
    const [row, column] = [Math.floor(i / mask.width), i % mask.width];
    box[0] = Math.min(box[0], row);
    box[1] = Math.max(box[1], row + 1);
    box[2] = Math.min(box[2], column);
    box[3] = Math.max(box[3], column + 1);
  });
  return box;
}

function sizeOf([top, bottom, left, right]) {
  return Math.max(bottom - top, right - left);
}

/* The components that reach the middle of a picture. */
function middleLabels(labels) {
  const [top, bottom] = [Math.trunc(labels.height * 0.3), Math.ceil(labels.height * 0.7)];
  const [left, right] = [Math.trunc(labels.width * 0.3), Math.ceil(labels.width * 0.7)];
  return new Set(cut(labels, top, bottom, left, right).values);
}

/* Which components are hollow and have a digit in their middle. */
function surrounding(labels, boxes, sizes) {
  return boxes.map((box, i) => {
    if (sizes[i] <= 0.5 * Math.max(labels.height, labels.width)) return false;
    const inside = middleLabels(cut(labels, ...box));
    return !inside.has(i + 1) && [...inside].some((label) => label > 0 && sizes[label - 1] > 0.3 * sizes[i]);
  });
}

function withoutFrame(mask) {
  const lines = linesAtEdges(mask);
  if (lines.length < 2 && !lines.some(({ length }) => length >= 0.95)) return mask;
  let cleaned = picture(mask.height, mask.width, mask.values.slice());
  for (const { isColumn, start, stop } of lines) {
    if (isColumn) cleaned = transposed(cleaned);
    cleaned.values.fill(0, start * cleaned.width, stop * cleaned.width);
    if (isColumn) cleaned = transposed(cleaned);
  }
  return middleLabels(cleaned).has(1) ? cleaned : mask;
}

/* Straight lines along the edges of a mask: rows or columns from start to stop, and their length. */
function linesAtEdges(mask) {
  return [false, true].flatMap((isColumn) =>
    longLines(isColumn ? transposed(mask) : mask).map((line) => ({ isColumn, ...line })),
  );
}

function longLines(mask) {
  const { height, width, values } = mask;
  const thickest = Math.max(2, rounded(0.08 * Math.max(height, width)));
  const lengths = [];
  for (let row = 0; row < height; row++) {
    const [above, below] = [(row + height - 1) % height, (row + 1) % height];
    let [longest, run] = [0, 0];
    for (let column = 0; column < width; column++) {
      const isInk = values[row * width + column] || values[above * width + column] || values[below * width + column];
      run = isInk ? run + 1 : 0;
      longest = Math.max(longest, run);
    }
    lengths.push(longest / width);
  }
  const found = [];
  for (let start = 0; start < height; start++) {
    if (lengths[start] <= 0.68) continue;
    let stop = start;
    while (stop < height && lengths[stop] > 0.68) stop++;
    const nearEdge = stop <= OUTER * height || start >= (1 - OUTER) * height;
    if (nearEdge && stop - start <= thickest + 2) {
      found.push({ start, stop, length: Math.max(...lengths.slice(start, stop)) });
    }
    start = stop;
  }
  return found;
}

/* Which components are the main one, or loose strokes of the same digit. */
function belonging(boxes, areas, main, allowed) {
  let belongs = boxes.map((_, i) => i === main);
  const length = sizeOf(boxes[main]);
  for (;;) {
    const [top, bottom, left, right] = around(boxes.filter((_, i) => belongs[i]));
    const before = belongs;
    belongs = boxes.map((box, i) => {
      if (before[i]) return true;
      if (!allowed[i] || areas[i] < THINNEST_PART * areas[main]) return false;
      const gapY = Math.max(top - box[1], box[0] - bottom, 0);
      const gapX = Math.max(left - box[3], box[2] - right, 0);
      const overlap = Math.min(right, box[3]) - Math.max(left, box[2]);
      const isShort = box[1] - box[0] < 0.6 * (bottom - top);
      return Math.hypot(gapX, gapY) <= length * (overlap > 0 || isShort ? NEAR : SIDE_BY_SIDE);
    });
    if (belongs.every((is, i) => is === before[i])) return belongs;
  }
}

function around(boxes) {
  const ends = (axis, choose) => choose(...boxes.map((box) => box[axis]));
  return [ends(0, Math.min), ends(1, Math.max), ends(2, Math.min), ends(3, Math.max)];
}
