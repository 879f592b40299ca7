// Builds js/dist. With --check it writes nothing, and fails if js/dist is not what it would write.

import { readFile, writeFile, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('.', import.meta.url));

const common = {
  absWorkingDir: root,
  bundle: true,
  write: false,
  charset: 'ascii',
  legalComments: 'none',
  logLevel: 'warning',
};
const page = { ...common, entryPoints: ['src/global.ts'], format: 'iife', target: 'es2015' };
const module = { ...common, entryPoints: ['src/index.ts'], format: 'esm', target: 'es2017', supported: { 'import-meta': true } };
const banner = '// Chloe, the browser client. Built from js/src; do not edit.\n';

/** The text of each file of js/dist, built from js/src. */
export async function files() {
  const text = async (options) => (await build(options)).outputFiles[0].text;
  return {
    'chloe.js': banner + (await text(page)),
    // What begins with _ is private, so no page and no server knows its name.
    'chloe-min.js': await text({ ...page, minify: true, mangleProps: /^_/ }),
    'chloe.mjs': banner + (await text(module)),
    'chloe.d.ts': await readFile(root + 'src/chloe.d.ts', 'utf8'),
  };
}

async function main() {
  const check = process.argv.includes('--check');
  await mkdir(root + 'dist', { recursive: true });
  for (const [name, fresh] of Object.entries(await files())) {
    const path = root + 'dist/' + name;
    if (!check) await writeFile(path, fresh);
    else if ((await readFile(path, 'utf8').catch(() => '')) !== fresh) {
      console.error(`js/dist/${name} is not what js/src makes. Run: npm run build`);
      process.exitCode = 1;
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
