/** An API server that answers every list with nothing and every first watch with given bytes; what a source makes of it. */
import type { ClusterChange } from '../../src/cluster/state.ts';
import type { KubeSourceOptions } from '../../src/kube/source.ts';
import { KubeSource } from '../../src/kube/source.ts';
import { allResources } from '../../src/kube/resources.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { Diagnostic } from '../../src/lib/diagnostic.ts';

/** By path of the kind (`/api/v1/pods`): what its watch sends. */
export type WatchBodies = Readonly<Record<string, string>>;

export interface Followed {
  readonly changes: readonly ClusterChange[];
  readonly diagnostics: readonly Diagnostic[];
}

/** All time that is waited passes at once. */
const clock: Clock = {
  now: () => performance.now(),
  sleep: async () => {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  },
};

/** Everything that the bodies bring, and what is wrong with it in the end. Rejects with a bug, and where not all of it is read in time. */
export async function followBodies(bodies: WatchBodies, nodeName: string, withinMs = 60_000): Promise<Followed> {
  const controller = new AbortController();
  const server = new OneTimeServer(bodies, controller);
  const timer = setTimeout(() => controller.abort(new Error(`the streams were not read in ${withinMs} ms`)), withinMs);
  const changes: ClusterChange[] = [];
  let diagnostics: readonly Diagnostic[] = [];
  try {
    for await (const batch of new KubeSource({ client: server, nodeName, clock }).watch(controller.signal)) {
      changes.push(...batch.changes);
      diagnostics = batch.diagnostics ?? diagnostics;
    }
    if (controller.signal.reason instanceof Error && !server.isDone) throw controller.signal.reason;
  } finally {
    clearTimeout(timer);
    controller.abort();
  }
  return { changes, diagnostics };
}

class OneTimeServer implements Pick<KubeSourceOptions['client'], 'open' | 'json'> {
  readonly server = 'https://api.example';
  readonly #bodies: WatchBodies;
  readonly #opened = new Map<string, number>();
  readonly #controller: AbortController;

  constructor(bodies: WatchBodies, controller: AbortController) {
    this.#bodies = bodies;
    this.#controller = controller;
  }

  get isDone(): boolean {
    return allResources.every(({ path }) => (this.#opened.get(path) ?? 0) > 1);
  }

  json(): Promise<unknown> {
    return Promise.resolve({ metadata: { resourceVersion: '1' }, items: [] });
  }

  /** The second watch of a kind brings nothing; when every kind is there, all is read. */
  open({ path }: { readonly path: string }, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    const times = (this.#opened.get(path) ?? 0) + 1;
    this.#opened.set(path, times);
    if (times === 1) return Promise.resolve(pieces(Buffer.from(this.#bodies[path] ?? '')));
    // What was brought last is delivered before the end.
    if (this.isDone) setTimeout(() => this.#controller.abort(), 5);
    return Promise.resolve(silence(signal));
  }
}

/** Cut anywhere, also inside of a character. */
async function* pieces(body: Buffer): AsyncGenerator<Buffer, void, void> {
  for (let at = 0; at < body.length; at += 97) yield body.subarray(at, at + 97);
  await Promise.resolve();
}

// oxlint-disable-next-line require-yield -- it says nothing until it ends
async function* silence(signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
