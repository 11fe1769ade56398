import { expect, test } from 'vitest';
import { dispatchChains } from '../../src/compile/base/dispatch-tree.ts';
import { chainName, fromWorkloadChain, toWorkloadChain } from '../../src/dataplane/names.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import type { Chain } from '../../src/dataplane/rule.ts';
import { felixVectors, type VectorChain } from '../vectors/felix.ts';

interface DispatchVector {
  readonly interfaces: readonly string[];
  readonly chains: readonly VectorChain[];
}

const { workload } = felixVectors<{ workload: readonly DispatchVector[] }>('dispatch.json');
const fromRoot = chainName('cali-from-wl-dispatch');
const toRoot = chainName('cali-to-wl-dispatch');

function both(interfaces: readonly string[]): readonly Chain[] {
  const entries = (chainOf: typeof toWorkloadChain) =>
    interfaces.map((name) => ({ interface: name, target: chainOf(name), object: `Pod a/${name}` }));
  return [
    ...dispatchChains(fromRoot, entries(fromWorkloadChain), { direction: 'in', unknownDrop: true }),
    ...dispatchChains(toRoot, entries(toWorkloadChain), { direction: 'out', unknownDrop: true }),
  ];
}

test('there are vectors', () => {
  expect(workload).toHaveLength(8);
});

test.each(workload.map((vector) => [vector.interfaces.join(' ') || 'none', vector] as const))(
  'interfaces %s, as Felix writes them',
  (_name, { interfaces, chains }) => {
    const ours = both(interfaces).map((chain) => ({ chain: chain.name, rules: renderChain(chain) }));
    expect(ours).toHaveLength(chains.length);
    expect(ours).toEqual(expect.arrayContaining(chains.map(({ chain, rules }) => ({ chain, rules }))));
  },
);

test('the order of the pods does not matter', () => {
  const names = ['cali0a', 'cali0b', 'cali1a', 'cali2a', 'cali2b'];
  expect(both(names.toReversed())).toEqual(both(names));
});

test('what a child does not know goes on like what the root does not know', () => {
  const next = chainName('cali-from-wl-port');
  const entries = ['vetha1', 'vetha2', 'vethb1'].map((name) => ({
    interface: name,
    target: fromWorkloadChain(name),
    object: `Pod a/${name}`,
  }));
  const chains = dispatchChains(fromRoot, entries, { direction: 'in', unknownDrop: false, next });
  expect(chains.map(({ name, rules }) => [name, rules.at(-1)?.action])).toEqual([
    ['cali-from-wl-dispatch-a', { kind: 'goto', chain: next }],
    ['cali-from-wl-dispatch', { kind: 'goto', chain: next }],
  ]);
});
