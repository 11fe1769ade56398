/** Real connections between namespaces. */
import { join } from 'node:path';
import { run, streamLines } from '../src/backends/exec.ts';
import type { Connection, Target } from './connect-worker.ts';
import type { Netns } from './netns.ts';

/** A server in a namespace, listening; answers how to end it. */
export async function serve(netns: Netns, ports: readonly number[]): Promise<() => Promise<void>> {
  const abort = new AbortController();
  const worker = join(import.meta.dirname, 'server-worker.ts');
  const lines = streamLines(netns.inside([process.execPath, worker, ...ports.map(String)]), abort.signal);
  const first = await lines.next();
  if (first.value !== 'ready') throw new Error(`the server in ${netns.name} does not listen`);
  const ended = drain(lines);
  return async () => {
    abort.abort();
    await ended;
  };
}

/** One after the other, in order. */
export async function connectAll(netns: Netns, targets: readonly Target[]): Promise<readonly Connection[]> {
  const worker = join(import.meta.dirname, 'connect-worker.ts');
  const argv = netns.inside([process.execPath, worker, JSON.stringify(targets)]);
  const { stdout } = await run(argv, { timeoutMs: 60_000 });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by connect-worker.ts
  return JSON.parse(stdout) as readonly Connection[];
}

async function drain(lines: AsyncIterable<string>): Promise<void> {
  for await (const _ of lines);
}
