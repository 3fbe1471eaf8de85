import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

/** The smallest policy under which the page works. Servers may allow more. */
export const POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", 'img-src data:',
  "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
].join('; ');

const KINDS = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.json': 'application/json',
  '.tif': 'image/tiff',
  '.png': 'image/png',
};

/** First and last byte that a request asks for of a file. */
function rangeOf(header, size) {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header) ?? [];
  if (first === undefined || Number(first) >= size) return undefined;
  return [Number(first), Math.min(last ? Number(last) : size - 1, size - 1)];
}

function send(response, path, size, range) {
  const headers = { 'content-type': KINDS[extname(path)] ?? 'application/octet-stream', 'accept-ranges': 'bytes' };
  headers['content-security-policy'] = POLICY;
  const [start, end] = range ?? [0, size - 1];
  headers['content-length'] = end - start + 1;
  if (range) headers['content-range'] = `bytes ${start}-${end}/${size}`;
  response.writeHead(range ? 206 : 200, headers);
  createReadStream(path, { start, end }).pipe(response);
}

async function answer(request, response, root, prefix) {
  const { pathname } = new URL(request.url, 'http://localhost');
  const path = join(root, normalize(decodeURIComponent(pathname.slice(prefix.length))));
  const found = pathname.startsWith(prefix) ? await stat(path).catch(() => undefined) : undefined;
  if (!found?.isFile()) return response.writeHead(404).end();
  return send(response, path, found.size, request.headers.range && rangeOf(request.headers.range, found.size));
}

/** Serves a folder below a prefix on a free port of this machine. */
export async function serve(root, prefix) {
  const server = createServer((request, response) => answer(request, response, root, prefix));
  await new Promise((ready) => { server.listen(0, '127.0.0.1', ready); });
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}
