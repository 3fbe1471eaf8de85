import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

// Products are compressed with Deflate, which the browser undoes itself: the decoders of geotiff, some of them large or WebAssembly,
// stay out. So do the vector layers of OpenLayers, of which its renderer only asks whether a layer is one; the page has none.
const LEFT_OUT = /geotiff\/.*\/compression\/(deflate|jpeg|lerc|lzw|packbits|webimage|zstd)\.js$|ol\/layer\/BaseVector\.js$/;
const STAND_IN = `
  export default class { constructor() { throw new Error('this part of the library is not in the bundle'); } }
  export const zstd = { init() {} };
`;

const leaveOut = {
  name: 'leave-out',
  setup({ onLoad }) {
    onLoad({ filter: LEFT_OUT }, () => ({ contents: STAND_IN, loader: 'js' }));
  },
};

const options = {
  entryPoints: [{ in: here('src/main.js'), out: 'viewer' }, { in: here('src/viewer.css'), out: 'viewer' }],
  outdir: here('dist'),
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
  plugins: [leaveOut],
};

/** The folders of the packages of which something is in the bundle. */
function bundled({ outputs }) {
  const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs));
  const used = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => path);
  const folders = used.map((path) => path.match(/.*node_modules\/(@[^/]+\/)?[^/]+(?=\/)/)?.[0]);
  return [...new Set(folders.filter(Boolean))].sort();
}

async function licenceOf(folder) {
  const { name, version, license } = JSON.parse(await readFile(here(`${folder}/package.json`), 'utf8'));
  const file = (await readdir(here(folder))).find((entry) => /^licen[cs]e(\.(md|txt))?$/i.test(entry));
  if (!file) throw new Error(`${name} is in the bundle and has no file with its licence`);
  const text = await readFile(here(`${folder}/${file}`), 'utf8');
  return `${name} ${version}, ${license}\n\n${text.trim()}\n`;
}

for (const file of (await readdir(here('dist'))).filter((name) => !name.startsWith('.'))) {
  await rm(here(`dist/${file}`), { recursive: true });
}
const { metafile } = await build({ ...options, absWorkingDir: here('.') });
await copyFile(here('src/index.html'), here('dist/index.html'));
const licences = await Promise.all(bundled(metafile).map(licenceOf));
await writeFile(here('dist/licences.txt'), licences.join(`\n${'-'.repeat(80)}\n\n`));
