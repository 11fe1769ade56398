/**
 * `npm run fuzz -- --minutes N [--seed S]`: random and mutated objects and files through reading, compiling, rendering and, as root, a
 * real kernel in a network namespace. Ends with `N passed, N failed, N skipped`: the cases, what was found, and whether the kernel was left out.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { whyNoKernel, withNetns } from '../../bench/netns.ts';
import { spawnProcess } from '../../src/backends/exec.ts';
import { corpusFolder, type FuzzCase } from './fuzz-case.ts';
import type { FuzzMessage, FuzzOrder } from './fuzz-worker.ts';
import { growthOf, type MemorySample } from './growth.ts';

/** No case takes so long, on the busiest machine: deadline of the pure part, and two loads of the kernel. */
const hangMs = 180_000;

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '2' }, seed: { type: 'string' } } });
const seconds = Number(values.minutes) * 60;
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
if (!(seconds > 0) || !Number.isInteger(seed)) {
  say('fuzz: expected --minutes N above 0 and --seed S, an integer');
  process.exit(2);
}
say(`fuzz: ${values.minutes} minutes, --seed ${seed}`);
const whyNot = whyNoKernel();
const problems =
  whyNot === undefined
    ? await withNetns(['nft', 'legacy'], (netns) => fuzz({ nft: netns.nft.name, legacy: netns.legacy.name }))
    : await fuzz(undefined);
if (whyNot !== undefined) say(`fuzz: nothing was loaded into a kernel: ${whyNot}`);
for (const problem of problems.found) say(`fuzz: ${problem}`);
say(`${problems.cases} passed, ${problems.found.length} failed, ${whyNot === undefined ? 0 : 1} skipped`);
process.exitCode = problems.found.length > 0 ? 1 : 0;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

interface FuzzResult {
  readonly cases: number;
  readonly found: readonly string[];
}

async function fuzz(netns: FuzzOrder['netns']): Promise<FuzzResult> {
  const temporary = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'));
  const current = join(temporary, 'current.json');
  const order: FuzzOrder = { seed, seconds, current, ...(netns === undefined ? {} : { netns }) };
  const worker = spawnProcess([process.execPath, join(import.meta.dirname, 'fuzz-worker.ts'), JSON.stringify(order)], {
    ipc: true,
  });
  const found: string[] = [];
  const samples: MemorySample[] = [];
  let cases = 0;
  let isComplete = false;
  let lastSign = Date.now();
  worker.onMessage((received) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- sent by fuzz-worker.ts
    const message = received as FuzzMessage;
    lastSign = Date.now();
    if (message.type === 'case') cases += 1;
    else if (message.type === 'memory') samples.push(message);
    else if (message.type === 'found') {
      found.push(`${message.message}\n  --seed ${message.seed}; kept as ${keep(message.found, message.message)}`);
    } else isComplete = true;
  });
  const watch = setInterval(() => {
    if (Date.now() - lastSign < hangMs) return;
    found.push(`a case hung for ${hangMs / 1000} s; kept as ${keep(readCurrent(current), 'hung')}`);
    worker.kill('SIGKILL');
  }, 1000);
  const { exitCode, signal } = await worker.exited;
  clearInterval(watch);
  if (!isComplete && found.length === 0) {
    found.push(`crashed with ${exitCode ?? signal ?? 'nothing'}; kept as ${keep(readCurrent(current), 'crashed')}`);
  }
  rmSync(temporary, { recursive: true });
  const growth = growthOf(samples);
  say(`fuzz: ${cases} cases; ${growth.text}`);
  return { cases, found: growth.isFlat ? found : [...found, `memory grows: ${growth.text}`] };
}

function readCurrent(file: string): FuzzCase {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by fuzz-worker.ts
  return JSON.parse(readFileSync(file, 'utf8')) as FuzzCase;
}

/** Into the corpus, where every `npm test` runs it from now on. */
function keep(one: FuzzCase, why: string): string {
  const text = `${JSON.stringify({ why, ...one }, undefined, 2)}\n`;
  const name = `found-${createHash('sha256').update(text).digest('hex').slice(0, 10)}.json`;
  writeFileSync(join(corpusFolder, name), text);
  return `test/fuzz/corpus/${name}`;
}
