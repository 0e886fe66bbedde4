'use strict';

/* The drawing pad: strokes by mouse, pen or touch, which can be undone, and what they look like to the network. */

const PAD_SIDE = 120; // pixels of the picture that is prepared, and saved

class Pad {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.strokes = [];
    this.cleared = []; // the strokes before all were cleared
    this.thickness = 6;
    this.current = null;
    canvas.addEventListener('pointerdown', (event) => this.start(event));
    canvas.addEventListener('pointermove', (event) => this.extend(event));
    for (const end of ['pointerup', 'pointercancel'])
      canvas.addEventListener(end, () => {
        this.current = null;
      });
    this.draw();
  }

  start(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.current = { thickness: this.thickness, points: [this.place(event)] };
    this.strokes.push(this.current);
    this.update();
  }

  extend(event) {
    if (!this.current || !event.isPrimary) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.current.points.push(this.place(each));
    this.update();
  }

  /* Where a pointer is, in pixels of the picture. */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * PAD_SIDE, ((event.clientY - box.top) / box.height) * PAD_SIDE];
  }

  /* Take the last stroke away, or bring back what was cleared. */
  undo() {
    if (this.isEmpty) [this.strokes, this.cleared] = [this.cleared, []];
    else this.strokes.pop();
    this.current = null;
    this.update();
  }

  clear() {
    if (!this.isEmpty) this.cleared = this.strokes;
    this.strokes = [];
    this.current = null;
    this.draw();
  }

  update() {
    this.draw();
    this.changed();
  }

  get isEmpty() {
    return !this.strokes.length;
  }

  draw(canvas = this.canvas) {
    const context = canvas.getContext('2d', { willReadFrequently: canvas !== this.canvas });
    const scale = canvas.width / PAD_SIDE;
    document.getElementById('pad-hint').hidden = !this.isEmpty;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = '#ffffff';
    context.fillRect(0, 0, PAD_SIDE, PAD_SIDE);
    context.strokeStyle = '#000000';
    context.lineCap = context.lineJoin = 'round';
    for (const { thickness, points } of this.strokes) {
      context.lineWidth = thickness;
      context.beginPath();
      context.moveTo(...points[0]);
      for (const point of points.length > 1 ? points.slice(1) : points) context.lineTo(...point);
      context.stroke();
    }
    return context;
  }

  /* The drawing as it is prepared and saved. */
  small() {
    this.smallCanvas ??= element('canvas', { width: PAD_SIDE, height: PAD_SIDE });
    return this.draw(this.smallCanvas);
  }

  /* Grey values from 0 to 1. */
  picture() {
    const { data } = this.small().getImageData(0, 0, PAD_SIDE, PAD_SIDE);
    return mapped(picture(PAD_SIDE, PAD_SIDE), (_, i) => data[4 * i] / 255);
  }

  save() {
    this.small();
    element('a', { href: this.smallCanvas.toDataURL('image/png'), download: 'drawing.png' }).click();
  }
}
