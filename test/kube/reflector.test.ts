import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClusterStore } from '../../src/cluster/state.ts';
import { ObjectReader } from '../../src/kube/object-reader.ts';
import { Reflector } from '../../src/kube/reflector.ts';
import type { Resource } from '../../src/kube/resources.ts';
import { allResources } from '../../src/kube/resources.ts';
import { KubeApiError } from '../../src/kube/kube-api-error.ts';
import { podOf } from '../fakes/kube-api.ts';
import { KubeStore, Refused } from '../fakes/kube-store.ts';

const path = '/api/v1/pods';
const pods: Resource = allResources.find(({ kind }) => kind === 'Pod') ?? fail();

function fail(): never {
  throw new Error('pods are followed');
}

const everything = () => true;

/** One kind followed without HTTP: what the loop around the reflector does, one step at a time. */
class Follower {
  readonly cluster = new ClusterStore();
  readonly changes: string[] = [];
  readonly #api: KubeStore;
  readonly #reflector = new Reflector('Pod');
  readonly #reader = new ObjectReader(pods);

  constructor(api: KubeStore) {
    this.#api = api;
  }

  get isComplete(): boolean {
    return this.#reflector.isComplete;
  }

  /** Asks once; of a watch, no more than `events` come before it breaks. */
  step(events: number): void {
    const { ask } = this.#reflector;
    try {
      if (ask.kind === 'list') this.#list(ask.continueToken);
      else this.#watch(Number(ask.resourceVersion), events);
    } catch (error) {
      const isExpired = error instanceof Refused ? error.code === 410 : error instanceof KubeApiError;
      if (!isExpired) throw error;
      this.#reflector.startAgain();
    }
  }

  bookmark(): void {
    if (this.#reflector.ask.kind !== 'watch') return;
    const resourceVersion = String(this.#api.version);
    // Bookmarks come in order: everything before has come.
    this.step(1000);
    if (this.#isWatching()) this.#reflector.takeEvent({ type: 'bookmark', resourceVersion });
  }

  #isWatching(): boolean {
    return this.#reflector.ask.kind === 'watch';
  }

  #list(token: string | undefined): void {
    const { items, version, continueToken } = this.#api.list(path, everything, 2, token);
    const metadata = {
      resourceVersion: String(version),
      ...(continueToken === undefined ? {} : { continue: continueToken }),
    };
    this.#apply(this.#reflector.takePage(this.#reader.page(copyOf({ metadata, items }))));
  }

  #watch(version: number, events: number): void {
    this.#api.check(version);
    for (const { type, object } of this.#api.since(path, version, everything).slice(0, events)) {
      const event = this.#reader.event(JSON.stringify({ type, object }));
      if (event !== undefined) this.#apply(this.#reflector.takeEvent(event));
    }
  }

  #apply(changes: ReturnType<Reflector['takePage']>): void {
    for (const { kind, key, before, after } of this.cluster.apply(changes)) {
      this.changes.push(`${after === undefined ? 'delete' : before === undefined ? 'add' : 'change'} ${kind} ${key}`);
    }
  }
}

function copyOf(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}

const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const action = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), name, app: fc.constantFrom('x', 'y') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('recreate' as const), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('bookmark' as const) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('step' as const), events: fc.nat({ max: 3 }) }) },
);

function perform(
  act: typeof action extends fc.Arbitrary<infer T> ? T : never,
  api: KubeStore,
  follower: Follower,
): void {
  switch (act.do) {
    case 'put':
      api.put(
        path,
        podOf(act.name, { status: { phase: 'Running', podIP: act.app === 'x' ? '10.0.0.1' : '10.0.0.2' } }),
      );
      break;
    case 'delete':
      api.delete(path, `demo/${act.name}`);
      break;
    case 'recreate':
      api.delete(path, `demo/${act.name}`);
      api.put(path, podOf(act.name));
      break;
    case 'compact':
      api.compact();
      break;
    case 'bookmark':
      follower.bookmark();
      break;
    default:
      follower.step(act.events);
  }
}

/** Name to uid and address. */
function asServed(api: KubeStore): Readonly<Record<string, string>> {
  return Object.fromEntries(
    api
      .objects(path)
      .map(({ metadata, status }) => [`demo/${metadata.name}`, `${metadata.uid} ${String(status?.['podIP'])}`]),
  );
}

function asKnown({ cluster }: Follower): Readonly<Record<string, string>> {
  return Object.fromEntries([...cluster.pods].map(([key, pod]) => [key, `${pod.uid} ${String(pod.ips[0])}`]));
}

describe('any history', () => {
  test('of changes, compactions, half lists and broken watches ends with what the API server has', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (history) => {
        const api = new KubeStore();
        const follower = new Follower(api);
        for (const act of history) perform(act, api, follower);
        for (let round = 0; round < 10; round += 1) follower.step(1000);
        expect(asKnown(follower)).toEqual(asServed(api));
      }),
      { numRuns: 2000 },
    );
  });

  test('never shows an object that the API server did not have, nor half a list as a whole one', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (history) => {
        const api = new KubeStore();
        const follower = new Follower(api);
        const ever = new Set<string>();
        const note = () => {
          for (const [key, value] of Object.entries(asServed(api))) ever.add(`${key} ${value}`);
        };
        api.onChange(note);
        for (const act of history) {
          const wasComplete = follower.isComplete;
          perform(act, api, follower);
          for (const [key, value] of Object.entries(asKnown(follower))) expect(ever).toContain(`${key} ${value}`);
          if (!follower.isComplete) expect(follower.changes).toEqual([]);
          expect(wasComplete && !follower.isComplete).toBe(false);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a new list', () => {
  test('deletes what is not on it, replaces what has another uid, and leaves what says the same', () => {
    const api = new KubeStore();
    const follower = new Follower(api);
    for (const one of ['a', 'b', 'c']) api.put(path, podOf(one));
    follower.step(0);
    follower.step(0);
    follower.changes.length = 0;
    api.delete(path, 'demo/a');
    api.delete(path, 'demo/b');
    api.put(path, podOf('b'));
    api.put(path, { ...podOf('c'), unknownField: 1 });
    api.compact();
    for (let round = 0; round < 4; round += 1) follower.step(10);
    expect(follower.changes).toEqual(['delete Pod demo/a', 'delete Pod demo/b', 'add Pod demo/b']);
  });
});
