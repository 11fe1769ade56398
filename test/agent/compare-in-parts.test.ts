/** A compare of everything reads in parts, and what comes meanwhile is written before the next part. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Argv, Run } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import type { NetworkPolicy } from '../../src/cluster/objects.ts';
import { FakeKernel } from '../fakes/kernel.ts';
import { labels, policy } from '../policy/objects.ts';
import type { StartedAgent } from './agent-fixture.ts';
import { run, seedChanges, set, startAgent, stopAgent } from './agent-fixture.ts';

/** A kernel whose programs wait for the test, once it holds them. */
class HeldKernel {
  readonly kernel = new FakeKernel();
  /** What was started since the hold, a word each. */
  readonly started: string[] = [];
  isHeld = false;
  #goOn: (() => void)[] = [];

  readonly run: Run = async (argv, options = {}) => {
    const { input = '' } = options;
    if (this.isHeld) {
      this.started.push(wordOf(argv, input));
      await new Promise<void>((resolve) => this.#goOn.push(resolve));
    }
    return this.kernel.run(argv, options);
  };

  /** Lets the program that waits do its work. */
  next(): void {
    this.#goOn.shift()?.();
  }
}

function wordOf([program, ...args]: Argv, input: string): string {
  if (program === 'nft') return 'names';
  if (program === 'ipset') return input.startsWith('save ') || args[0] === 'list' ? 'sets' : 'write';
  return program.endsWith('-save') || /^-S /m.test(input) ? 'chains' : 'write';
}

const app = 'db';

function another(name: string): NetworkPolicy {
  return policy(`default/${name}`, { podSelector: labels({ app }) });
}

let held: HeldKernel;
let started: StartedAgent;

beforeEach(async () => {
  held = new HeldKernel();
  const backend = new KernelBackend({
    run: held.run,
    variant: 'nft',
    families: ['ipv4'],
    ownership: { services: false },
    sectionChains: 2,
    sectionMembers: 2,
  });
  started = startAgent(held.kernel, { writer: new KernelWriter({ backend, retryDelaysMs: [] }) });
  started.source.deliver({ changes: seedChanges(), synced: true, diagnostics: [] });
  await run(started);
  await run(started);
});

afterEach(async () => {
  held.isHeld = false;
  held.next();
  await stopAgent(started);
});

/** As long as `goOn`, with a step of the pretended kernel each time. */
async function whileComparing(step: (turn: number) => void, turns = 200): Promise<void> {
  for (let turn = 0; turn < turns && started.agent.kernel.isComparing; turn += 1) {
    step(turn);
    held.next();
    await run(started, 1);
  }
}

async function beginCompare(): Promise<void> {
  held.isHeld = true;
  await run(started, 90_000);
  await run(started, 1);
}

function filterChains(): readonly string[] {
  return held.kernel.table('ip', 'filter').chainNames.filter((name) => name.startsWith('cali-'));
}

test('a change that comes in the middle is written before the next part is read', async () => {
  await beginCompare();
  await whileComparing((turn) => {
    if (turn === 4) started.source.deliver({ changes: [set(another('late'))], synced: true, diagnostics: [] });
  });
  const firstWrite = held.started.indexOf('write');
  const reads = held.started.filter((word) => word !== 'write');
  expect(reads.length).toBeGreaterThan(10);
  // One was under way, and no other was begun.
  expect(firstWrite).toBeGreaterThanOrEqual(4);
  expect(firstWrite).toBeLessThanOrEqual(6);
  expect(started.agent.kernel.isComparing).toBe(false);
  expect(started.agent.kernel.driftRepairs).toBe(0);
});

test('it ends, however many changes come, and takes none of them for drift', async () => {
  await beginCompare();
  await whileComparing((turn) => {
    const name = `storm-${Math.floor(turn / 2)}`;
    const change =
      turn % 2 === 0
        ? set(another(name))
        : ({ type: 'delete', kind: 'NetworkPolicy', key: `default/${name}` } as const);
    started.source.deliver({ changes: [change], synced: true, diagnostics: [] });
  });
  expect(started.agent.kernel.isComparing).toBe(false);
  expect(started.agent.kernel.driftRepairs).toBe(0);
  expect(started.agent.failures).toBe(0);
});

test.each([
  ['emptied', (name: string): void => held.kernel.table('ip', 'filter').setChain(name, [])],
  ['with a rule more', (name: string): void => held.kernel.table('ip', 'filter').setChain(name, ['-j ACCEPT'])],
])('every chain that somebody has %s is found, whichever part it is in', async (_how, damage) => {
  const before = held.kernel.table('ip', 'filter').save();
  for (const chain of filterChains()) {
    damage(chain);
    held.isHeld = false;
    await run(started, 90_000);
    for (let turn = 0; turn < 60; turn += 1) await run(started, 1);
    expect(held.kernel.table('ip', 'filter').save(), chain).toBe(before);
  }
  expect(started.agent.kernel.driftRepairs).toBe(filterChains().length);
});

/** A set that has members. */
function filledSet(): string {
  const { sets } = held.kernel;
  return sets.names.find((name) => (sets.get(name)?.members.size ?? 0) > 0) ?? '';
}

test.each<readonly [what: string, disturb: () => void]>([
  ['a chain of ours that nobody wants', () => held.kernel.table('ip', 'filter').setChain('cali-left-over', [])],
  ['a hook that is gone', () => held.kernel.table('ip', 'filter').setChain('FORWARD', [])],
  ['a hook of another table that is gone', () => held.kernel.table('ip', 'raw').setChain('PREROUTING', [])],
  [
    'a set of ours that nobody wants',
    () => held.kernel.sets.put('cali40left', { type: 'hash:net', family: 'inet', maxElements: 10, members: new Set() }),
  ],
  ['a set that was emptied', () => held.kernel.sets.get(filledSet())?.members.clear()],
])('%s is found, alone', async (_what, disturb) => {
  const before = stateOf(held.kernel);
  expect(filledSet()).not.toBe('');
  disturb();
  expect(stateOf(held.kernel)).not.toEqual(before);
  await run(started, 90_000);
  for (let part = 0; part < 60; part += 1) await run(started, 1);
  expect(stateOf(held.kernel)).toEqual(before);
});

function stateOf(kernel: FakeKernel): readonly string[] {
  const { sets } = kernel;
  const members = sets.names.map((name) => `${name}: ${[...(sets.get(name)?.members ?? [])].toSorted().join(' ')}`);
  const rules = ['raw', 'mangle', 'filter'].map((name) => kernel.table('ip', name).save());
  return [...members, ...rules.flatMap((text) => text.split('\n'))].toSorted();
}

test('chains that cannot be read by themselves are read with their table', async () => {
  const table = held.kernel.table('ip', 'filter');
  const before = table.save();
  const [, second = ''] = filterChains();
  await beginCompare();
  await whileComparing(() => {
    // Between the list of the names and the reading of what they hold.
    if (held.started.at(-1) === 'chains') table.deleteChain(second);
  });
  held.isHeld = false;
  for (let turn = 0; turn < 10; turn += 1) await run(started, 1);
  expect(table.save().split('\n').toSorted()).toEqual(before.split('\n').toSorted());
});

test('how long it took is the sum of its parts, and its parts are no measure', async () => {
  const { kernel } = started.agent;
  expect(kernel.lastFullCompareMs).toBe(0);
  await beginCompare();
  await whileComparing(() => expect(kernel.lastFullCompareMs).toBe(0));
  expect(kernel.lastFullCompareMs).toBeGreaterThan(0);
});
