import { inflateSync } from 'node:zlib';

const HEADER_BYTES = 8;

function chunksOf(file) {
  const chunks = [];
  for (let at = HEADER_BYTES; at < file.length;) {
    const length = file.readUInt32BE(at);
    chunks.push({ kind: file.toString('latin1', at + 4, at + 8), data: file.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return chunks;
}

function paeth(left, up, corner) {
  const [toLeft, toUp, toCorner] = [up - corner, left - corner, left + up - 2 * corner].map(Math.abs);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

const PREDICTIONS = [
  () => 0,
  (left) => left,
  (left, up) => up,
  (left, up) => (left + up) >> 1,
  paeth,
];

function unfilter(rows, stride, depth, height) {
  const bytes = Buffer.alloc(stride * height);
  for (let row = 0; row < height; row += 1) {
    const predict = PREDICTIONS[rows[row * (stride + 1)]];
    for (let column = 0; column < stride; column += 1) {
      const at = row * stride + column;
      const left = column < depth ? 0 : bytes[at - depth];
      const up = row === 0 ? 0 : bytes[at - stride];
      const corner = column < depth || row === 0 ? 0 : bytes[at - stride - depth];
      bytes[at] = rows[row * (stride + 1) + 1 + column] + predict(left, up, corner);
    }
  }
  return bytes;
}

/** The colours of a screenshot: PNG with 8 bits, RGB or RGBA, not interlaced. */
export function readPng(file) {
  const chunks = chunksOf(file);
  const header = chunks[0].data;
  const [width, height, depth] = [header.readUInt32BE(0), header.readUInt32BE(4), header[9] === 6 ? 4 : 3];
  const packed = Buffer.concat(chunks.filter(({ kind }) => kind === 'IDAT').map(({ data }) => data));
  const bytes = unfilter(inflateSync(packed), width * depth, depth, height);
  const at = (x, y) => [...bytes.subarray((y * width + x) * depth, (y * width + x) * depth + 3)];
  return { width, height, at: (x, y) => at(Math.round(x), Math.round(y)) };
}
