/** The delta names what became different, and nothing else: what survived when its decisions were changed one by one. */
import { expect, test } from 'vitest';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import { PolicyDecider } from '../../src/policy/decide.ts';
import { empty, labels, pod, pods, policy, rule } from './objects.ts';

const db = pod('a/db', { labels: { app: 'db' }, ips: ['10.0.0.1'] });
const toDb = { podSelector: labels({ app: 'db' }) };
const fromAll = { isolatesIngress: true, ingress: [rule()] };
const toNobody = { isolatesIngress: false, isolatesEgress: true, egress: [] };

function start(...objects: readonly ClusterObject[]) {
  const store = new ClusterStore();
  const decider = new PolicyDecider(store, { nodeName: 'node-a', ipFamilies: ['ipv4'] });
  const set = (...changed: readonly ClusterObject[]) =>
    decider.apply(store.apply(changed.map((object) => ({ type: 'set', object }))));
  set(...objects);
  return { decider, set };
}

test('what is told again without being different is no change', () => {
  const { decider } = start(db, policy('a/p', { ...toDb, ...fromAll }));
  const again = decider.apply([
    { kind: 'Pod', key: 'a/db', before: db, after: db },
    { kind: 'NetworkPolicy', key: 'a/p' },
  ]);
  expect([again.endpoints.size, again.policies.size, again.profiles.size, again.ipSets.length]).toEqual([0, 0, 0, 0]);
});

test('another rule of a policy is no change of the pods that it selects', () => {
  const { set } = start(db, policy('a/p', { ...toDb, ...fromAll }));
  const delta = set(policy('a/p', { ...toDb, ingress: [rule([pods(empty)])] }));
  expect([...delta.policies.keys()]).toEqual(['a/knp.default.p']);
  expect(delta.endpoints.size).toBe(0);
});

test.each([
  [
    'one direction instead of the other',
    [policy('a/p', { ...toDb, ...fromAll })],
    policy('a/p', { ...toDb, ...toNobody }),
  ],
  ['one more of one direction', [policy('a/p', { ...toDb, ...fromAll })], policy('a/q', { ...toDb, ...fromAll })],
  ['one more of the other', [policy('a/p', { ...toDb, ...fromAll })], policy('a/q', { ...toDb, ...toNobody })],
  ['the first', [], policy('a/p', { ...toDb, ...fromAll })],
] as const)('policies that isolate a pod: %s', (_, before, changed) => {
  const { decider, set } = start(db, ...before);
  const delta = set(changed);
  expect([...delta.endpoints.keys()]).toEqual(['a/db']);
  const all = [...decider.plan.policies.values()];
  const ids = (direction: 'ingress' | 'egress') =>
    all
      .filter((one) => one[direction] !== undefined)
      .map(({ id }) => id)
      .toSorted();
  expect(delta.endpoints.get('a/db')).toMatchObject({ ingress: ids('ingress'), egress: ids('egress') });
});

test('as many policies as before, but not the same ones', () => {
  const { set } = start(
    db,
    policy('a/p', { ...toDb, ...fromAll }),
    policy('a/q', { ...toDb, ...fromAll }),
    policy('a/r', { podSelector: labels({ app: 'x' }), ...fromAll }),
  );
  const delta = set(
    policy('a/q', { podSelector: labels({ app: 'y' }), ...fromAll }),
    policy('a/r', { ...toDb, ...fromAll }),
  );
  expect(delta.endpoints.get('a/db')?.ingress).toEqual(['a/knp.default.p', 'a/knp.default.r']);
});

test('a policy has rules in the directions that it isolates, and no others', () => {
  const both = policy('a/both', { ...toDb, ...fromAll, isolatesEgress: true, egress: [rule()] });
  const { decider } = start(
    db,
    policy('a/in', { ...toDb, ...fromAll }),
    policy('a/out', { ...toDb, ...toNobody }),
    both,
  );
  const found = new Map([...decider.plan.policies.values()].map((one) => [one.policy.name, one]));
  expect([found.get('in')?.ingress?.length, found.get('in')?.egress]).toEqual([1, undefined]);
  expect([found.get('out')?.ingress, found.get('out')?.egress]).toEqual([undefined, []]);
  expect([found.get('both')?.ingress?.length, found.get('both')?.egress?.length]).toEqual([1, 1]);
  expect(Object.keys(found.get('in') ?? {})).not.toContain('egress');
  expect(Object.keys(found.get('out') ?? {})).not.toContain('ingress');
});

test('a pod with an address of a family that is served is policed, whatever other addresses it has', () => {
  const dual = pod('a/dual', { ips: ['10.0.0.2', 'fd00::2'] });
  const six = pod('a/six', { ips: ['fd00::3'] });
  const { decider } = start(dual, six);
  expect([...decider.plan.endpoints.keys()]).toEqual(['a/dual']);
});

test('members of which three pods have one address leave with the last of them', () => {
  const shared = (name: string) => pod(`a/${name}`, { labels: { app: 'web' }, ips: ['10.0.1.1'], node: 'node-b' });
  const allow = policy('a/p', { ...toDb, ingress: [rule([pods(labels({ app: 'web' }))])] });
  const store = new ClusterStore();
  const decider = new PolicyDecider(store, { nodeName: 'node-a', ipFamilies: ['ipv4'] });
  const names = ['one', 'two', 'three'];
  decider.apply(store.apply([db, allow, ...names.map(shared)].map((object) => ({ type: 'set', object }))));
  const members = () => [...decider.plan.ipSets.values()].flatMap((set) => [...set.members]);
  for (const name of names) {
    expect(members()).toEqual(['10.0.1.1']);
    const delta = decider.apply(store.apply([{ type: 'delete', kind: 'Pod', key: `a/${name}` }]));
    expect(delta.ipSets.length).toBe(name === 'three' ? 1 : 0);
  }
  expect(members()).toEqual([]);
});

test('a member that comes and goes between two looks was never there', () => {
  const store = new ClusterStore();
  const decider = new PolicyDecider(store, { nodeName: 'node-a', ipFamilies: ['ipv4'] });
  const allow = policy('a/p', { ...toDb, ingress: [rule([pods(labels({ app: 'web' }))])] });
  decider.apply(store.apply([db, allow].map((object) => ({ type: 'set', object }))));
  const web = pod('a/web', { labels: { app: 'web' }, ips: ['10.0.1.1'], node: 'node-b' });
  const other = pod('a/web', { labels: { app: 'other' }, ips: ['10.0.1.1'], node: 'node-b' });
  const added = decider.apply(store.apply([{ type: 'set', object: web }]));
  expect(added.ipSets).toMatchObject([{ added: ['10.0.1.1'], removed: [] }]);
  const removed = decider.apply(store.apply([{ type: 'set', object: other }]));
  expect(removed.ipSets).toMatchObject([{ added: [], removed: ['10.0.1.1'] }]);
});
