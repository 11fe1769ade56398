/** A change of several transactions: old rules go in the end, and what is left of one that failed is mended. */
import { expect, test } from 'vitest';
import type { Converse } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import type { Dataplane, DataplaneDelta } from '../../src/dataplane/dataplane.ts';
import { ipFamilies } from '../../src/dataplane/dataplane.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import type { Chain } from '../../src/dataplane/rule.ts';
import { chainOf, dataplaneOf, jumpTo, markIs, ruleOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const accept = ruleOf({ kind: 'set-mark', value: 0x10000, mask: 0x10000 });
const back = ruleOf({ kind: 'return' }, markIs(0x10000));
const drop = ruleOf({ kind: 'drop' });
const endpoint = chainOf('cali-tw-pod', ruleOf(jumpTo('cali-pi-a')), drop);

function policy(...rules: Chain['rules']): Chain {
  return chainOf('cali-pi-a', ...rules);
}

function both(chain: Chain, ...more: readonly Chain[]): Dataplane {
  return dataplaneOf({ chains: { filter: [chain, endpoint, ...more] }, families: ['ipv4', 'ipv6'] });
}

function changeOf(chain: Chain): DataplaneDelta {
  const chains = ipFamilies.map((family) => ({ family, table: 'filter', name: chain.name, chain }) as const);
  return { ipSets: [], chains, hooks: [] };
}

async function setUp(before: Chain, converse?: Converse): Promise<{ kernel: FakeKernel; writer: KernelWriter }> {
  const kernel = new FakeKernel();
  const standing = converse === undefined ? {} : { converse };
  const backend = new KernelBackend({ run: kernel.run, variant: 'nft', ownership: { services: false }, ...standing });
  const writer = new KernelWriter({ backend, retryDelaysMs: [0, 0] });
  await writer.resync(both(before));
  kernel.calls.length = 0;
  return { kernel, writer };
}

/** What each write does to which chain. */
function history(kernel: FakeKernel): readonly string[] {
  return kernel.writes.map(({ argv, input }) => {
    const verbs = [...input.matchAll(/^(?::|-[A-Z] )\S+(?: \d+$)?/gm)].map(([line]) => line);
    return `${argv[0].startsWith('ip6') ? 'v6' : 'v4'} ${[...new Set(verbs)].join(' ')}`;
  });
}

function expectWritten(kernel: FakeKernel, chain: Chain): void {
  const rules = renderChain(chain).map((line) => line.slice(`-A ${chain.name} `.length));
  for (const family of ['ip', 'ip6'] as const) expect(kernel.table(family, 'filter').chain(chain.name)).toEqual(rules);
}

test.each([
  ['more rules', policy(accept, back), policy(drop, accept, back, drop)],
  ['fewer rules', policy(accept, back, drop), policy(drop)],
  ['no rules', policy(accept, back), policy()],
  ['the same first rule', policy(accept, back), policy(accept, drop)],
])(
  '%s: the family that comes first keeps its old rules, out of reach, until the other is written',
  async (_, before, after) => {
    const { kernel, writer } = await setUp(before);
    const report = await writer.update(changeOf(after), both(after));
    const appended = after.rules.length === 0 ? '' : ' -A cali-pi-a';
    expect(history(kernel)).toEqual([
      'v4 -I cali-pi-a',
      `v6 :cali-pi-a${appended}`,
      `v4 -D cali-pi-a ${after.rules.length + 1}`,
    ]);
    expect(report).toMatchObject({ writes: 3, chainsWritten: 2 });
    expectWritten(kernel, after);
    expect((await writer.resync(both(after))).differenceCount).toBe(0);
  },
);

test('what was not there, or had no rules, has nothing to delete', async () => {
  const { kernel, writer } = await setUp(policy());
  await writer.update(changeOf(policy(drop)), both(policy(drop)));
  expect(history(kernel)).toEqual(['v4 :cali-pi-a -A cali-pi-a', 'v6 :cali-pi-a -A cali-pi-a']);
});

test('the same text again replaces the chain: the rules above might stand there twice', async () => {
  // The programs that stay never answer.
  const silent: Converse = (argv) => {
    throw new CommandError({ argv, code: 'ENOENT' });
  };
  const { kernel, writer } = await setUp(policy(accept, back), silent);
  await writer.update(changeOf(policy(drop)), both(policy(drop)));
  expect(kernel.writes[0]?.input).toMatch(/^\*filter\n:cali-pi-a - -\n-A cali-pi-a .*DROP\nCOMMIT\n$/);
  expectWritten(kernel, policy(drop));
  expect((await writer.resync(both(policy(drop)))).differenceCount).toBe(0);
});

test.each([1, 2, 3])('killed at write %i: a writer without memory finds what is left and replaces it', async (at) => {
  const { kernel, writer } = await setUp(policy(accept, back));
  const after = policy(drop, accept, back);
  // From then on nothing works any more, until somebody starts anew.
  let count = 0;
  kernel.refuses = () => false;
  const dying = new KernelBackend({
    run: async (argv, options) => {
      if (options?.input !== undefined && (count += 1) >= at) throw new CommandError({ argv, code: 'ENOENT' });
      return kernel.run(argv, options);
    },
    variant: 'nft',
    ownership: { services: false },
  });
  const doomed = new KernelWriter({ backend: dying, retryDelaysMs: [] });
  count = Number.NEGATIVE_INFINITY;
  await doomed.resync(both(policy(accept, back)));
  count = 0;
  await expect(doomed.update(changeOf(after), both(after))).rejects.toThrow('program not found');
  expect((await writer.resync(both(after))).differenceCount).toBeGreaterThan(0);
  expectWritten(kernel, after);
});

test('a rule that somebody slipped in between is found by the next compare', async () => {
  const { kernel, writer } = await setUp(policy(accept, back));
  const table = kernel.table('ip', 'filter');
  table.setChain('cali-pi-a', ['-j ACCEPT', ...(table.chain('cali-pi-a') ?? [])]);
  const after = policy(drop);
  await writer.update(changeOf(after), both(after));
  expect((await writer.resync(both(after))).differenceCount).toBe(1);
  expectWritten(kernel, after);
});

test('a rule that somebody took away in between: deleting is refused, and all is read and mended at once', async () => {
  const { kernel, writer } = await setUp(policy(accept, back));
  const table = kernel.table('ip', 'filter');
  table.setChain('cali-pi-a', (table.chain('cali-pi-a') ?? []).slice(1));
  const after = policy(drop);
  await writer.update(changeOf(after), both(after));
  expectWritten(kernel, after);
});
