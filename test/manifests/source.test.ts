import { chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SourceBatch } from '../../src/cluster/state.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import { formatDiagnostic } from '../../src/lib/diagnostic.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { ManifestError } from '../../src/manifests/manifest-error.ts';
import type { ManifestSourceOptions } from '../../src/manifests/source.ts';
import { ManifestSource } from '../../src/manifests/source.ts';

const pod = (name: string, label = 'a') =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, labels: {app: ${label}}}\n`;
const policy = (name: string, spec: string) =>
  `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: ${name}}\nspec: ${spec}\n`;

let directory = '';
let stop = new AbortController();

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-manifests-'));
  stop = new AbortController();
});

afterEach(async () => {
  stop.abort();
  await rm(directory, { recursive: true, force: true });
});

/** Writes beside the directory and renames into place, as careful programs do. */
async function put(path: string, text: string): Promise<void> {
  const target = join(directory, path);
  await mkdir(dirname(target), { recursive: true });
  await writeFile(`${directory}.new`, text);
  await rename(`${directory}.new`, target);
}

/** A source that is followed in a store. */
class Followed {
  readonly store = new ClusterStore();
  readonly batches: SourceBatch[] = [];
  readonly #iterator: AsyncIterator<SourceBatch>;
  #diagnostics: readonly string[] = [];

  constructor(path = directory, options: ManifestSourceOptions = {}) {
    this.#iterator = new ManifestSource(path, clusterDefaults(), options).watch(stop.signal)[Symbol.asyncIterator]();
  }

  async next(): Promise<SourceBatch> {
    const { value, done } = await this.#iterator.next();
    if (done === true) throw new Error('the source ended');
    this.store.apply(value.changes);
    this.batches.push(value);
    this.#diagnostics = value.diagnostics?.map(formatDiagnostic) ?? this.#diagnostics;
    return value;
  }

  async until(isReached: (store: ClusterStore, diagnostics: readonly string[]) => boolean): Promise<readonly string[]> {
    while (!isReached(this.store, this.#diagnostics)) await this.next();
    return this.#diagnostics;
  }
}

function identities(batch: SourceBatch): readonly string[] {
  return batch.changes
    .map((change) =>
      change.type === 'set' ? `set ${change.object.kind} ${change.object.name}` : `delete ${change.kind} ${change.key}`,
    )
    .toSorted();
}

test('the first batch is the whole cluster; then each change alone', async () => {
  await put('a.yaml', pod('a'));
  await put('deep/er/b.yml', pod('b'));
  const followed = new Followed();
  const first = await followed.next();
  expect(first.synced).toBe(true);
  expect(first.diagnostics).toEqual([]);
  expect(identities(first)).toEqual(['set Namespace default', 'set Node node-0', 'set Pod a', 'set Pod b']);
  await put('a.yaml', pod('a', 'changed'));
  expect(identities(await followed.next())).toEqual(['set Pod a']);
  expect(followed.store.pods.get('default/a')?.labels).toEqual({ app: 'changed' });
  await put('new/c.json', JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'c' } }));
  expect(identities(await followed.next())).toEqual(['set Pod c']);
  await rm(join(directory, 'deep/er/b.yml'));
  expect(identities(await followed.next())).toEqual(['delete Pod default/b']);
  await rm(join(directory, 'new'), { recursive: true });
  expect(identities(await followed.next())).toEqual(['delete Pod default/c']);
  expect(followed.batches.slice(1).every(({ diagnostics }) => diagnostics === undefined)).toBe(true);
});

test('objects that are equal are not delivered again', async () => {
  await put('a.yaml', pod('a') + '---\n' + pod('b'));
  const followed = new Followed();
  await followed.next();
  const before = followed.store.pods.get('default/b');
  await put('a.yaml', pod('a', 'changed') + '---\n' + pod('b'));
  expect(identities(await followed.next())).toEqual(['set Pod a']);
  expect(followed.store.pods.get('default/b')).toBe(before);
  await put('a.yaml', pod('a', 'changed') + '---\n' + pod('b') + '# a comment\n');
  await put('b.yaml', pod('c'));
  expect(identities(await followed.next())).toEqual(['set Pod c']);
});

test('a file that stops being YAML keeps what it held; the message goes when it is mended', async () => {
  await put('a.yaml', pod('a') + '---\n' + pod('b'));
  const followed = new Followed();
  await followed.next();
  await put('a.yaml', pod('a', 'changed') + '---\nfoo: [\n');
  const broken = await followed.next();
  expect(identities(broken)).toEqual([]);
  expect(broken.diagnostics?.map(formatDiagnostic)).toEqual([
    expect.stringMatching(/^a\.yaml:\d: not YAML: /),
    'a.yaml: warning: what this file held when it could last be read stays in force',
  ]);
  await put('a.yaml', pod('a', 'mended'));
  const mended = await followed.next();
  expect(identities(mended)).toEqual(['delete Pod default/b', 'set Pod a']);
  expect(mended.diagnostics).toEqual([]);
});

test('bytes that are not UTF-8 are a file that cannot be read', async () => {
  await put('a.yaml', pod('a'));
  const followed = new Followed();
  await followed.next();
  await writeFile(`${directory}.new`, Buffer.from([0x61, 0xff, 0xfe]));
  await rename(`${directory}.new`, join(directory, 'a.yaml'));
  const batch = await followed.next();
  expect(identities(batch)).toEqual([]);
  expect(batch.diagnostics?.[0]?.message).toBe('not UTF-8, expected YAML text');
});

test('a policy that becomes malformed goes on isolating, without its rules', async () => {
  await put('p.yaml', policy('p', '{podSelector: {}, ingress: [{}]}'));
  const followed = new Followed();
  await followed.next();
  await put('p.yaml', policy('p', '{podSelector: {}, ingress: [{ports: [{port: 0}]}]}'));
  await followed.next();
  expect(followed.store.networkPolicies.get('default/p')).toMatchObject({ isolatesIngress: true, ingress: [] });
});

test('the first by path counts; when it goes the other one does', async () => {
  await put('b.yaml', pod('a', 'second'));
  await put('a.yaml', pod('a', 'first'));
  const followed = new Followed();
  const first = await followed.next();
  expect(followed.store.pods.get('default/a')?.labels).toEqual({ app: 'first' });
  expect(first.diagnostics?.map(formatDiagnostic)).toEqual([
    'b.yaml:1: Pod default/a stands at a.yaml:1 already, expected once; this one is left out',
  ]);
  await rm(join(directory, 'a.yaml'));
  await followed.until((store) => store.pods.get('default/a')?.labels['app'] === 'second');
});

test('files that are no manifests, hidden ones and links to directories are passed over', async () => {
  await put('a.yaml', pod('a'));
  for (const path of ['notes.txt', '.hidden.yaml', '.git/x.yaml', 'a.yaml~', 'kustomization.yaml', 'b.yaml.swp']) {
    await put(path, pod('not-me'));
  }
  await symlink(directory, join(directory, 'loop'));
  await symlink(join(directory, 'notes.txt'), join(directory, 'link.yaml'));
  const followed = new Followed();
  await followed.next();
  expect([...followed.store.pods.keys()].toSorted()).toEqual(['default/a', 'default/not-me']);
  await put('.hidden.yaml', pod('still-not-me'));
  await put('a.yaml', pod('a', 'changed'));
  expect(identities(await followed.next())).toEqual(['set Pod a']);
});

test('a file that is emptied and written again in place never loses its objects', async () => {
  await put('p.yaml', policy('p', '{podSelector: {}}'));
  const followed = new Followed();
  await followed.next();
  const path = join(directory, 'p.yaml');
  await writeFile(path, '');
  await new Promise((resolve) => setTimeout(resolve, 15));
  await writeFile(path, policy('p', '{podSelector: {}, policyTypes: [Egress]}'));
  await followed.until((store) => store.networkPolicies.get('default/p')?.isolatesEgress === true);
  const deletions = followed.batches.flatMap(identities).filter((line) => line.startsWith('delete'));
  expect(deletions).toEqual([]);
});

test('a file that is deleted and made anew at once never loses its objects', async () => {
  await put('p.yaml', policy('p', '{podSelector: {}}'));
  const followed = new Followed();
  await followed.next();
  await rm(join(directory, 'p.yaml'));
  await new Promise((resolve) => setTimeout(resolve, 10));
  await put('p.yaml', policy('p', '{podSelector: {}, policyTypes: [Egress]}'));
  await followed.until((store) => store.networkPolicies.get('default/p')?.isolatesEgress === true);
  expect(followed.batches.flatMap(identities).filter((line) => line.startsWith('delete'))).toEqual([]);
});

test('a directory that goes away keeps everything in force, and is followed again when it is back', async () => {
  await put('p.yaml', policy('p', '{podSelector: {}}'));
  const followed = new Followed();
  await followed.next();
  await rename(directory, `${directory}.away`);
  const [message] = await followed.until((_store, diagnostics) => diagnostics.length > 0);
  expect(message).toContain('the directory is gone, what it held last stays in force');
  expect(followed.store.networkPolicies.size).toBe(1);
  await rename(`${directory}.away`, directory);
  await followed.until((_store, diagnostics) => diagnostics.length === 0);
  await put('q.yaml', pod('q'));
  await followed.until((store) => store.pods.has('default/q'));
  expect(followed.store.networkPolicies.size).toBe(1);
});

test('a directory that is emptied at once keeps everything in force; an empty file means that nothing is wanted', async () => {
  await put('p.yaml', policy('p', '{podSelector: {}}'));
  await put('more/q.yaml', policy('q', '{podSelector: {}}'));
  const followed = new Followed();
  await followed.next();
  await rm(join(directory, 'more'), { recursive: true });
  await rm(join(directory, 'p.yaml'));
  const [message] = await followed.until((_store, diagnostics) => diagnostics.length > 0);
  expect(message).toContain('no manifest is left, what they held last stays in force');
  await sleep(700);
  expect(followed.store.networkPolicies.size).toBe(2);
  await put('nothing.yaml', '');
  await followed.until((store, diagnostics) => store.networkPolicies.size === 0 && diagnostics.length === 0);
});

describe('a start without a complete reading', () => {
  const waits = { mayBeginIncomplete: () => Promise.resolve(false) };

  test.each([
    ['no manifest at all', undefined],
    ['a file that is not YAML', 'foo: [\n'],
    ['a second document that is not YAML', `${pod('a')}---\nfoo: [\n`],
  ])('%s: not synced, and said, until it can be read', async (_what, text) => {
    if (text !== undefined) await put('broken.yaml', text);
    if (text !== undefined) await put('good.yaml', policy('good', '{podSelector: {}}'));
    const followed = new Followed(directory, waits);
    const first = await followed.next();
    expect(first.synced).toBe(false);
    expect(first.diagnostics?.map(formatDiagnostic).join('\n')).toContain('what an earlier agent wrote stays as it is');
    await put('broken.yaml', policy('p', '{podSelector: {}}'));
    await followed.until((store, diagnostics) => store.networkPolicies.has('default/p') && diagnostics.length === 0);
    expect(followed.batches.at(-1)?.synced).toBe(true);
    await put('broken.yaml', 'foo: [\n');
    expect((await followed.next()).synced).toBe(true);
  });

  test('a file that is left out for its content is no hindrance', async () => {
    await put('p.yaml', policy('p', '{podSelector: {matchLabels: 7}}'));
    expect((await new Followed(directory, waits).next()).synced).toBe(true);
  });

  test('where nothing can be opened by it, what is there counts', async () => {
    await put('broken.yaml', 'foo: [\n');
    await put('good.yaml', pod('a'));
    const followed = new Followed();
    expect((await followed.next()).synced).toBe(true);
    expect(followed.store.pods.size).toBe(1);
  });
});

describe('a folder below the directory that cannot be read', () => {
  /** Root may read everything: the kernel is asked as somebody else. */
  const asNobody = process.getuid?.() === 0;
  beforeEach(async () => {
    await put('open.yaml', pod('here'));
    await put('closed/pod.yaml', pod('there'));
    await chmod(directory, 0o755);
    if (asNobody) process.seteuid?.(65534);
  });
  afterEach(async () => {
    if (asNobody) process.seteuid?.(0);
    await chmod(join(directory, 'closed'), 0o755);
  });

  async function setMode(mode: number): Promise<void> {
    if (asNobody) process.seteuid?.(0);
    await chmod(join(directory, 'closed'), mode);
    if (asNobody) process.seteuid?.(65534);
  }

  test('what its files held stays, what else changes is followed, and it is told until it can be read again', async () => {
    const followed = new Followed();
    await followed.next();
    expect(podNames(followed)).toEqual(['here', 'there']);
    await setMode(0);
    const told = await followed.until((_, diagnostics) => diagnostics.some((one) => one.includes('closed')));
    expect(told.join()).toMatch(/closed.*permission denied.*stays in force/);
    expect(podNames(followed)).toEqual(['here', 'there']);
    await setMode(0o755);
    await followed.until((_, diagnostics) => diagnostics.length === 0);
    if (asNobody) process.seteuid?.(0);
    await put('closed/more.yaml', pod('more'));
    await followed.until(() => podNames(followed).includes('more'));
  });

  test('at a start where an earlier agent has written, nothing counts before it can be read', async () => {
    await setMode(0);
    const followed = new Followed(directory, { mayBeginIncomplete: () => Promise.resolve(false) });
    const first = await followed.next();
    expect(first.synced).toBe(false);
    expect(first.diagnostics?.[0]?.message).toContain('closed cannot be read');
    await setMode(0o755);
    await followed.until(() => followed.batches.at(-1)?.synced === true);
    expect(podNames(followed)).toEqual(['here', 'there']);
  });

  function podNames({ store }: Followed): readonly string[] {
    return [...store.pods.values()].map(({ name }) => name).toSorted();
  }
});

test('one file alone is followed too', async () => {
  await put('a.yaml', pod('a'));
  await put('b.yaml', pod('b'));
  const followed = new Followed(join(directory, 'a.yaml'));
  await followed.next();
  expect([...followed.store.pods.keys()]).toEqual(['default/a']);
  await put('b.yaml', pod('b', 'changed'));
  await put('a.yaml', pod('a', 'changed'));
  expect(identities(await followed.next())).toEqual(['set Pod a']);
});

test('a directory that does not exist is one clear error', async () => {
  const missing = join(directory, 'missing');
  const failure = new ManifestSource(missing, clusterDefaults()).watch(stop.signal).next();
  await expect(failure).rejects.toThrow(ManifestError);
  await expect(failure).rejects.toThrow(`manifests ${missing}: does not exist, expected a directory of YAML files`);
});

test('the source ends when it is told to, also while it waits', async () => {
  const iterator = new ManifestSource(directory, clusterDefaults()).watch(stop.signal);
  await iterator.next();
  const next = iterator.next();
  setTimeout(() => stop.abort(), 20);
  expect(await next).toEqual({ value: undefined, done: true });
});

test('of changes to one file that follow each other at once none is missed', async () => {
  await put('pod.yaml', pod('p'));
  const followed = new Followed();
  await followed.next();
  for (let round = 0; round < 20; round += 1) {
    await writeFile(`${directory}.new`, pod('p', `round-${round}`));
    await rename(`${directory}.new`, join(directory, 'pod.yaml'));
    await followed.until((store) => store.pods.get('default/p')?.labels['app'] === `round-${round}`);
  }
});
