/** What is ours by its name, and what only looks like it: what is not ours is never read as ours, written or removed. */
import { expect, test } from 'vitest';
import { planCleanup } from '../../src/dataplane/plan.ts';
import { ObservedStore } from '../../src/dataplane/observed-store.ts';
import { isSharedChain, ownsChain, ownsIpSet } from '../../src/dataplane/ownership.ts';
import { chainOf, dataplaneOf, hookOf, inSet, ruleOf, setOf } from '../fakes/dataplanes.ts';
import { planResync } from '../../src/dataplane/plan.ts';

test.each(['cali-FORWARD', 'cali-', 'cali-pi-_x'])('chain %s is ours', (name) => {
  expect(ownsChain(name, { services: false })).toBe(true);
});

test.each([
  'mycali',
  'calico',
  'Cali-x',
  'x-cali-y',
  'DOCKER',
  'KUBE-KUBELET-CANARY',
  'KUBE-IPTABLES-HINT',
  'KUBE-MARK-DROP',
])('chain %s is not ours, whatever we serve', (name) => {
  for (const services of [true, false]) expect(ownsChain(name, { services })).toBe(false);
});

test.each(['KUBE-SERVICES', 'KUBE-SVC-ABC', 'KUBE-SEP-ABC', 'KUBE-NODEPORTS', 'KUBE-FIREWALL'])(
  'chain %s is ours where Services are served, and a kube-proxy’s elsewhere',
  (name) => {
    expect(ownsChain(name, { services: true })).toBe(true);
    expect(ownsChain(name, { services: false })).toBe(false);
  },
);

test.each(['KUBE-SVCX', 'KUBE-', 'XKUBE-SERVICES', 'KUBE-SERVICESX'])('chain %s is nobody we know', (name) => {
  expect(ownsChain(name, { services: true })).toBe(false);
});

test('sets', () => {
  for (const name of ['cali40s:abc', 'cali60n:abc', 'cali4t0', 'cali6t9', 'cali40cut'])
    expect(ownsIpSet(name)).toBe(true);
  for (const name of ['cal', 'cali', 'cali5', 'cali50x', 'xcali40s', 'calico', 'KUBE-LOOP-BACK', 'foreign'])
    expect(ownsIpSet(name)).toBe(false);
});

test('what is taken away: hooks, then chains, then sets; a chain that kubelet makes too stays with what leads to it', () => {
  const set = setOf('s:a', ['10.0.0.1']);
  const own = chainOf('cali-FORWARD', ruleOf({ kind: 'drop' }, inSet(set.name)));
  const shared = chainOf('KUBE-FIREWALL', ruleOf({ kind: 'drop' }));
  const wanted = dataplaneOf({
    sets: [set],
    chains: { filter: [own, shared] },
    hooks: [hookOf('FORWARD', 'cali-FORWARD'), hookOf('INPUT', 'KUBE-FIREWALL')],
  });
  const observed = new ObservedStore();
  for (const { writes } of planResync(wanted, observed)) for (const write of writes) observed.apply(write);
  const writes = planCleanup(observed).flatMap((step) => step.writes);
  expect(writes.map(({ kind }) => kind)).toEqual(['write-hooks', 'remove-chains', 'destroy-sets']);
  const text = JSON.stringify(writes);
  expect(text).toContain('cali-FORWARD');
  expect(text).not.toContain('KUBE-FIREWALL');
  expect(isSharedChain('KUBE-FIREWALL')).toBe(true);
});

test('a set that is wanted no more goes after the chains that refer to it', () => {
  const set = setOf('s:a', ['10.0.0.1']);
  const chains = [chainOf('cali-a', ruleOf({ kind: 'drop' }, inSet(set.name)))];
  const observed = new ObservedStore();
  const before = dataplaneOf({ sets: [set], chains: { filter: chains } });
  for (const { writes } of planResync(before, observed)) for (const write of writes) observed.apply(write);
  const after = dataplaneOf({ chains: { filter: [chainOf('cali-a', ruleOf({ kind: 'drop' }))] } });
  const kinds = planResync(after, observed).flatMap((step) => step.writes.map(({ kind }) => kind));
  expect(kinds).toEqual(['write-chains', 'destroy-sets']);
});
