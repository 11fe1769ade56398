/** At the start a large table of Services is written anew instead of being read. */
import { expect, test } from 'vitest';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { parseChainNames } from '../../src/backends/iptables/large-table.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import type { Chain } from '../../src/dataplane/rule.ts';
import { chainOf, dataplaneOf, hookOf, jumpTo, ruleOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

function kube(name: string, ...rules: Chain['rules']): Chain {
  return { ...chainOf(name, ...rules), style: 'kube' };
}

/** A KUBE-SVC chain for each, and the way there. */
function services(...names: readonly string[]): Dataplane {
  const chains = names.map((name) => kube(`KUBE-SVC-${name}`, ruleOf({ kind: 'accept' })));
  const all = kube('KUBE-SERVICES', ...chains.map(({ name }) => ruleOf(jumpTo(name))));
  const hooks = [hookOf('PREROUTING', 'KUBE-SERVICES', { table: 'nat', style: 'kube' })];
  return dataplaneOf({ chains: { nat: [...chains, all] }, hooks });
}

function writerOf(kernel: FakeKernel, largeTable: number): KernelWriter {
  const backend = new KernelBackend({ run: kernel.run, variant: 'nft', ownership: { services: true }, largeTable });
  return new KernelWriter({ backend, retryDelaysMs: [0] });
}

/** By a program for this table, or for all of them. */
const readsNat = (kernel: FakeKernel): boolean =>
  kernel.calls.some(({ argv }) => argv[0] === 'iptables-nft-save' && (argv.length === 1 || argv.at(-1) === 'nat'));

/** What an earlier agent left: one Service more, one as it is, one with another text; and what is foreign. */
async function leftBehind(): Promise<FakeKernel> {
  const kernel = new FakeKernel();
  await writerOf(kernel, 1_000).resync(services('a', 'b', 'old'));
  const nat = kernel.table('ip', 'nat');
  nat.setChain('KUBE-SVC-b', ['-j DROP']);
  nat.setChain('DOCKER', ['-j RETURN']);
  kernel.calls.length = 0;
  return kernel;
}

test.each([3, 1_000])('more than %i chains: the end is the same, whatever was there', async (largeTable) => {
  const kernel = await leftBehind();
  const writer = writerOf(kernel, largeTable);
  await writer.resync(services('a', 'b', 'new'));
  expect(readsNat(kernel)).toBe(largeTable === 1_000);
  const nat = kernel.table('ip', 'nat');
  expect(nat.chainNames.filter((name) => !name.startsWith('P') && !['INPUT', 'OUTPUT'].includes(name)).sort()).toEqual([
    'DOCKER',
    'KUBE-SERVICES',
    'KUBE-SVC-a',
    'KUBE-SVC-b',
    'KUBE-SVC-new',
  ]);
  expect(nat.chain('KUBE-SVC-b')).toEqual(['-j ACCEPT']);
  expect(nat.chain('DOCKER')).toEqual(['-j RETURN']);
  expect(nat.chain('PREROUTING')).toEqual(['-j KUBE-SERVICES']);
  kernel.calls.length = 0;
  // From now on a compare is one: it reads.
  expect(await writer.resync(services('a', 'b', 'new'))).toMatchObject({ writes: 0, differenceCount: 0 });
  expect(readsNat(kernel)).toBe(true);
});

test('cleanup of a large table reads no more of it', async () => {
  const kernel = await leftBehind();
  await writerOf(kernel, 3).cleanup();
  expect(readsNat(kernel)).toBe(false);
  expect(kernel.table('ip', 'nat').chainNames.filter((name) => name.startsWith('KUBE'))).toEqual([]);
  expect(kernel.table('ip', 'nat').chain('PREROUTING')).toEqual([]);
});

test('where nft is missing the table is read', async () => {
  const kernel = await leftBehind();
  kernel.failNext(/^nft$/);
  await writerOf(kernel, 3).resync(services('a'));
  expect(readsNat(kernel)).toBe(true);
});

test('names are those of one table of one family', () => {
  const text =
    'table ip raw {\n\tchain cali-a {\n\t}\n}\ntable ip6 nat {\n\tchain KUBE-SVC-B {\n\t}\n}\ntable inet nat {\n\tchain other {\n\t}\n}\ntable ip nat {\n\tchain PREROUTING {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\t}\n\tchain KUBE-SVC-A {\n\t}\n}\n';
  expect(parseChainNames(text, 'ipv4', 'nat')).toEqual(['PREROUTING', 'KUBE-SVC-A']);
  expect(parseChainNames(text, 'ipv6', 'nat')).toEqual(['KUBE-SVC-B']);
});
