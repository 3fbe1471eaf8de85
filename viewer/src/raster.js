import { addDecoder, BaseClient, BaseDecoder, BaseResponse, fromArrayBuffer, fromCustomClient } from 'geotiff';
import { request } from './reading.js';

// A block takes in the header and the overviews of most files: they come with one request.
const BLOCK_BYTES = 262144;
const KEPT_FILES = 6;
// An overview may be so much coarser than the screen before it looks blurred.
const COARSENESS = 1.3;

/** The server sends whole files only. */
class RangesIgnored extends Error {}

class Answer extends BaseResponse {
  constructor(response) {
    super();
    this.response = response;
  }

  get status() {
    return this.response.status;
  }

  getHeader(name) {
    return this.response.headers.get(name) ?? undefined;
  }

  getData() {
    return this.response.arrayBuffer();
  }
}

// The browser's own decoder is faster than one in JavaScript, and works beside the page without a worker.
class Inflate extends BaseDecoder {
  decodeBlock(block) {
    const inflated = new Blob([block]).stream().pipeThrough(new DecompressionStream('deflate'));
    return new Response(inflated).arrayBuffer();
  }
}

addDecoder([8, 32946], async () => Inflate);

// The library drops the reason why a request failed; the client keeps it.
class Client extends BaseClient {
  async request({ headers }) {
    try {
      this.failure = undefined;
      return await this.part(headers);
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  async part(headers) {
    const response = await request(this.url, { headers });
    if (response.status === 206) return new Answer(response);
    response.body?.cancel();
    throw new RangesIgnored();
  }

  /** What became of a reading, with the reason of its own if it failed. */
  async explained(reading) {
    try {
      return await reading;
    } catch (error) {
      throw this.failure ?? error;
    }
  }
}

async function openFile(client) {
  try {
    return await client.explained(fromCustomClient(client, { blockSize: BLOCK_BYTES }));
  } catch (error) {
    if (!(error instanceof RangesIgnored)) throw error;
    return fromArrayBuffer(await (await request(client.url)).arrayBuffer());
  }
}

/** The promise that `read` makes for a key, made once; a failed one is made anew when it is asked for again. */
function once(promises, key, read) {
  if (!promises.has(key)) {
    promises.set(key, read());
    promises.get(key).catch(() => promises.delete(key));
  }
  return promises.get(key);
}

async function readGrid(image, band, window) {
  const values = await image.readRasters({ samples: [band], window });
  return { values: values[0], width: values.width, height: values.height };
}

/** A cloud-optimised GeoTIFF: its levels from fine to coarse, all of one extent. */
class Raster {
  constructor(client, levels) {
    this.client = client;
    this.levels = levels;
    this.extent = levels[0].getBoundingBox();
    this.grids = new Map();
    this.tiles = new Map();
  }

  cellSize(level) {
    return (this.extent[2] - this.extent[0]) / this.levels[level].getWidth();
  }

  /** The coarsest level that still looks sharp at a number of metres for each pixel of the screen. */
  levelFor(resolution) {
    const sharp = this.levels.findLastIndex((_, level) => this.cellSize(level) <= COARSENESS * resolution);
    return Math.max(sharp, 0);
  }

  /** All values of a level. */
  grid(level, band) {
    return once(this.grids, `${level}/${band}`, () => this.client.explained(readGrid(this.levels[level], band)));
  }

  /** The value of the cell of full resolution at a place, or nothing outside the file. */
  async valueAt([x, y], band) {
    const [image] = this.levels;
    const column = Math.floor((x - this.extent[0]) / this.cellSize(0));
    const row = Math.floor((this.extent[3] - y) / this.cellSize(0));
    if (column < 0 || row < 0 || column >= image.getWidth() || row >= image.getHeight()) return undefined;
    if (!this.grids.has(`0/${band}`)) return this.valueFromTile(column, row, band);
    const { values, width } = await this.grid(0, band);
    return values[row * width + column];
  }

  async valueFromTile(column, row, band) {
    const [image] = this.levels;
    const [side, tall] = [image.getTileWidth(), image.getTileHeight()];
    const [left, top] = [column - column % side, row - row % tall];
    const window = [left, top, Math.min(left + side, image.getWidth()), Math.min(top + tall, image.getHeight())];
    const read = () => this.client.explained(readGrid(image, band, window));
    const { values, width } = await once(this.tiles, `${left}/${top}/${band}`, read);
    return values[(row - top) * width + column - left];
  }
}

async function readRaster(url) {
  const client = new Client(url);
  const file = await openFile(client);
  const levels = [];
  for (let level = 0; level < await file.getImageCount(); level += 1) levels.push(await file.getImage(level));
  return new Raster(client, levels);
}

const kept = new Map();

/** The file at an address; the last few stay open. */
export function openRaster(url) {
  const raster = kept.get(url) ?? readRaster(url);
  kept.delete(url);
  kept.set(url, raster);
  raster.catch(() => kept.delete(url));
  if (kept.size > KEPT_FILES) kept.delete(kept.keys().next().value);
  return raster;
}
