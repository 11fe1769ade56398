/** The program as the image runs it: one tree-shaken bundle of src/node-main.ts, without TypeScript, in `dist/`. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import type { Plugin } from 'rolldown';

const root = join(import.meta.dirname, '..');

/** Where the bundle lies: `sluice.mjs` and its chunks. */
export const bundleDirectory = join(root, 'dist', 'bundle');

/**
 * What the image gives Node. V8 lets the space of young objects grow to three times 16 MB while much is made (a first sync), and gives it
 * back late: with 4 MB the peak at 25,000 endpoints is 210 MB instead of 270.
 */
export const nodeFlags: readonly string[] = ['--max-semi-space-size=4'];

/** What a bundle is made of: a change of any of these makes another one. */
export const bundleInputs: readonly string[] = ['src', 'package.json', 'package-lock.json', 'scripts/bundle.ts'];

/**
 * An import of `node:http` reads all its exports, and some of them load Node's own fetch and WebSocket: 45 ms and 13 MB for what is
 * not used. Asked for this way they stay unread.
 */
const lazyHttp: Plugin = {
  name: 'lazy-http',
  resolveId: (source) => (/^(?:node:)?https?$/.test(source) ? `\0${source.replace('node:', '')}` : null),
  load: (id) => (/^\0https?$/.test(id) ? httpModule(id.slice(1)) : null),
};

/** What we and our dependencies import by name; the bundler says where one is missing. */
const httpNames =
  'Agent,ClientRequest,IncomingMessage,METHODS,OutgoingMessage,STATUS_CODES,Server,ServerResponse,createServer,get,request';
const httpsNames = 'Agent,Server,createServer,get,request';

function httpModule(name: string): string {
  const names = name === 'http' ? httpNames : httpsNames;
  return `const module = process.getBuiltinModule('node:${name}');\nexport default module;\nexport const { ${names} } = module;\n`;
}

/** Writes the bundle anew; the paths of its files from `directory`, sorted. */
export async function writeBundle(directory: string = bundleDirectory): Promise<readonly string[]> {
  rmSync(directory, { recursive: true, force: true });
  const bundle = await rolldown({
    input: { sluice: join(root, 'src', 'node-main.ts') },
    platform: 'node',
    cwd: root,
    plugins: [lazyHttp],
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(`bundle: ${log.message}`);
    },
  });
  const { output } = await bundle.write({
    dir: directory,
    format: 'esm',
    entryFileNames: '[name].mjs',
    chunkFileNames: 'chunks/[name]-[hash].mjs',
    // The engine keeps the text of what it runs. Names stay: they are what a stack tells.
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
    comments: { legal: true, annotation: false, jsdoc: false },
  });
  return output.map(({ fileName }) => fileName).sort();
}

if (import.meta.main) {
  const files = await writeBundle();
  console.log(`bundle: ${files.length} files in ${bundleDirectory}`);
}
