import { openRaster } from './raster.js';

/** The bounding box, in the plane, of the cells that are ice; nothing where there is none. */
function extentOfIce({ values, width, height }, [left, , right, top], isIce) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let row = 0, cell = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1, cell += 1) {
      if (!isIce(values[cell])) continue;
      box[0] = Math.min(box[0], column);
      box[1] = Math.min(box[1], row);
      box[2] = Math.max(box[2], column + 1);
      box[3] = Math.max(box[3], row + 1);
    }
  }
  const side = (right - left) / width;
  return box[2] < 0 ? undefined : [left + side * box[0], top - side * box[3], left + side * box[2], top - side * box[1]];
}

/** One picture on the map: a band of a file, painted as finely as the view needs. */
export class Picture {
  constructor(map, show) {
    this.map = map;
    this.show = show;
    this.turn = 0;
  }

  /** Takes the picture away. */
  clear() {
    this.turn += 1;
    this.source = undefined;
    this.show(undefined);
  }

  /** What the picture is about, as it was given with it. */
  get about() {
    return this.source?.about;
  }

  /** Shows another file or band; the old picture stays until the new one is there. */
  async change({ url, band, paint, isIce, about }) {
    this.turn += 1;
    const { turn } = this;
    if (this.source?.url === url && this.source.band === band) return;
    try {
      const source = { raster: await openRaster(url), url, band, paint, isIce, about, level: Infinity };
      if (turn === this.turn) await this.draw(source, turn);
    } catch (error) {
      if (turn === this.turn) this.clear();
      throw error;
    }
  }

  /** Reads a finer level when the view has come closer. */
  async refine() {
    if (this.source) await this.draw(this.source, this.turn);
  }

  async draw(source, turn) {
    const level = source.raster.levelFor(this.map.metresPerPixel());
    if (level >= source.level) return;
    const grid = await source.raster.grid(level, source.band);
    if (turn !== this.turn || level >= source.level) return;
    Object.assign(source, { level, grid });
    this.source = source;
    this.show({ canvas: source.paint(grid), extent: source.raster.extent });
  }

  /** The value of the file's own cell at a place; nothing outside the file or while there is no picture. */
  async valueAt(place) {
    return this.source?.raster.valueAt(place, this.source.band);
  }

  /** Where the ice is. */
  extentOfIce() {
    return this.source && extentOfIce(this.source.grid, this.source.raster.extent, this.source.isIce);
  }
}
