/** Who comes after whom, and who goes before whom: what survived when the bookkeeping of the policy stage was changed bit by bit. */
import { describe, expect, test } from 'vitest';
import { ClusterStore } from '../../src/cluster/state.ts';
import { PolicyDecider } from '../../src/policy/decide.ts';
import { Membership } from '../../src/policy/membership.ts';
import { hasOwnAddress, PodDirectory } from '../../src/policy/pod-directory.ts';
import { addressSet, allPods } from '../../src/policy/set-spec.ts';
import { Cluster, empty, labels, namespace, pod, pods, policy, rule } from './objects.ts';

const db = pod('a/db', { labels: { app: 'db' }, ips: ['10.0.0.1'] });
const web = pod('a/web', { labels: { app: 'web' }, ips: ['10.0.1.1'], node: 'node-b' });
const toDb = { podSelector: labels({ app: 'db' }) };
const allowWeb = policy('a/p', { ...toDb, ingress: [rule([pods(labels({ app: 'web' }))])] });
const fromTeam = policy('a/p', { ...toDb, ingress: [rule([pods(undefined, labels({ team: 'x' }))])] });
const guest = pod('b/x', { ips: ['10.0.2.1'], node: 'node-b' });

describe('a pod that comes after the policies', () => {
  test('is isolated by those that select it', () => {
    const cluster = new Cluster(allowWeb, policy('a/other', { podSelector: labels({ app: 'x' }) }));
    const delta = cluster.set(db);
    expect(delta.endpoints.get('a/db')?.ingress).toEqual(['a/knp.default.p']);
    expect([...delta.policies.keys()]).toEqual(['a/knp.default.p']);
  });

  test('is not isolated by one that is gone', () => {
    const cluster = new Cluster(allowWeb, policy('a/other', {}), pod('a/y', { ips: ['10.0.0.9'] }));
    cluster.delete('NetworkPolicy', 'a/p');
    expect(cluster.set(db).endpoints.get('a/db')?.ingress).toEqual(['a/knp.default.other']);
    expect([...cluster.plan.policies.keys()]).toEqual(['a/knp.default.other']);
  });

  test('is not isolated by one that has selected it once', () => {
    const cluster = new Cluster(allowWeb, policy('a/other', {}), pod('a/y', { ips: ['10.0.0.9'] }));
    cluster.set(policy('a/p', { podSelector: labels({ app: 'x' }) }));
    expect(cluster.set(db).endpoints.get('a/db')?.ingress).toEqual(['a/knp.default.other']);
  });

  test('is a member where peers of any namespace are allowed', () => {
    const cluster = new Cluster(db, policy('a/p', { ...toDb, ingress: [rule([pods(empty, empty)])] }));
    cluster.set(guest);
    expect(cluster.members()).toEqual(['10.0.0.1', '10.0.2.1']);
  });
});

test('a pod that changes is told, though the same policies isolate it', () => {
  const cluster = new Cluster(db, allowWeb);
  const moved = { ...db, ips: pod('a/db', { ips: ['10.0.0.2'] }).ips };
  expect(cluster.set(moved).endpoints.get('a/db')?.pod).toBe(moved);
});

test('a policy goes from a namespace that has no pods here', () => {
  const cluster = new Cluster(allowWeb);
  const delta = cluster.delete('NetworkPolicy', 'a/p');
  expect([delta.endpoints.size, delta.policies.size, delta.ipSets.length]).toEqual([0, 0, 0]);
});

test('a peer has addresses of a family that is not served: those are left out', () => {
  const store = new ClusterStore();
  const decider = new PolicyDecider(store, { nodeName: 'node-a', ipFamilies: ['ipv4'] });
  const dual = pod('a/web', { labels: { app: 'web' }, ips: ['10.0.1.1', 'fd00::1'], node: 'node-b' });
  decider.apply(store.apply([db, allowWeb, dual].map((object) => ({ type: 'set', object }))));
  const members = () => [...decider.plan.ipSets.values()].map((set) => [...set.members]);
  expect(members()).toEqual([['10.0.1.1']]);
  decider.apply(store.apply([{ type: 'delete', kind: 'Pod', key: 'a/web' }]));
  expect(members()).toEqual([[]]);
});

describe('labels of a namespace that change', () => {
  const start = () => new Cluster(db, guest, namespace('b', { team: 'x' }), fromTeam);

  test('beside the one that is asked for: its pods stay members', () => {
    const cluster = start();
    expect(cluster.set(namespace('b', { team: 'x', stage: 'test' })).ipSets).toEqual([]);
    expect(cluster.members()).toEqual(['10.0.2.1']);
  });

  test('twice: its pods are members no longer than the label is there', () => {
    const cluster = start();
    cluster.set(namespace('b', { team: 'x', stage: 'test' }));
    cluster.set(namespace('b', { team: 'y', stage: 'test' }));
    expect(cluster.members()).toEqual([]);
  });

  test('into the label of one policy and out of that of another', () => {
    const fromStage = policy('a/q', { ...toDb, ingress: [rule([pods(undefined, labels({ stage: 'test' }))])] });
    const cluster = start();
    cluster.set(fromStage);
    const members = () => [...cluster.plan.ipSets.values()].flatMap((set) => [...set.members]);
    expect(members()).toEqual(['10.0.2.1']);
    const delta = cluster.set(namespace('b', { stage: 'test' }));
    expect(delta.ipSets.filter(({ kind }) => kind === 'members').length).toBe(2);
    expect(members()).toEqual(['10.0.2.1']);
  });
});

/** A set that was left in the index would be filled on, and take the new one of its name with it. */
describe.each([
  ['of its own namespace', pods(labels({ app: 'web' })), web],
  ['of namespaces by label', pods(labels({ app: 'web' }), labels({ team: 'x' })), { ...web, namespace: 'b' }],
  ['of every namespace', pods(labels({ app: 'web' }), empty), web],
] as const)('a set of peers %s that nobody asks for any more', (_, peer, member) => {
  const asked = policy('a/p', { ...toDb, ingress: [rule([peer])] });
  const start = () => new Cluster(db, namespace('b', { team: 'x' }), member, asked);

  test('is forgotten: when it is asked for again it is a new one', () => {
    const cluster = start();
    for (let round = 0; round < 2; round += 1) {
      expect(cluster.delete('NetworkPolicy', 'a/p').ipSets.map(({ kind }) => kind)).toEqual(['remove', 'remove']);
      expect(cluster.set({ ...member, ready: false }).ipSets).toEqual([]);
      expect(cluster.set(asked).ipSets.map(({ kind }) => kind)).toEqual(['create', 'create']);
      expect(cluster.set({ ...member, ready: true }).ipSets).toEqual([]);
      expect(cluster.members()).toEqual(['10.0.1.1']);
    }
  });

  test('goes alone: others that ask the same namespaces are filled on', () => {
    const cluster = start();
    const [own = ''] = [...cluster.plan.ipSets.keys()];
    const jobs = { ...peer, podSelector: labels({ app: 'job' }) };
    cluster.set(policy('a/q', { ...toDb, ingress: [rule([jobs])] }));
    cluster.delete('NetworkPolicy', 'a/p');
    expect([...cluster.plan.ipSets.keys()]).not.toContain(own);
    const job = { ...member, name: 'job', labels: { app: 'job' }, ips: pod('a/job', { ips: ['10.0.3.1'] }).ips };
    cluster.set(job);
    expect(cluster.members()).toEqual(['10.0.3.1']);
    cluster.delete('Pod', `${job.namespace}/job`);
    expect(cluster.members()).toEqual([]);
  });
});

test('what nobody retained cannot be released', () => {
  expect(() => new Membership(['ipv4']).release(addressSet(allPods))).toThrow('nobody retained');
});

test.each([
  ['has none yet', {}, false],
  ['is the node’s', { hostNetwork: true, ips: db.ips }, false],
  ['may be another pod’s by now', { phase: 'Succeeded', ips: db.ips }, false],
  ['may be another pod’s by now, too', { phase: 'Failed', ips: db.ips }, false],
  ['is its own before it runs', { phase: 'Pending', ips: db.ips }, true],
] as const)('the address of a pod %s', (_, overrides, isOwn) => {
  expect(hasOwnAddress(pod('a/p', {}, overrides))).toBe(isOwn);
});

describe('the directory of pods', () => {
  const ask = (directory: PodDirectory, namespaces: Parameters<PodDirectory['matching']>[0]['namespaces']) =>
    [...directory.matching({ namespaces, pods: empty, text: '' })].map(({ name }) => name);

  test('has nobody in a namespace that nobody has named', () => {
    expect(ask(new PodDirectory(), { kind: 'one', name: 'b' })).toEqual([]);
  });

  test('finds a namespace by its present labels alone, also by an index', () => {
    const directory = new PodDirectory(0);
    const byTeam = (team: string) => ({ kind: 'selected', selector: labels({ team }), text: '' }) as const;
    directory.setNamespace('b', namespace('b', { team: 'x' }));
    directory.setNamespace('c', namespace('c', { team: 'z' }));
    directory.setPod('b/x', guest);
    expect(ask(directory, byTeam('x'))).toEqual(['x']);
    directory.setNamespace('b', namespace('b', { team: 'y' }));
    expect([ask(directory, byTeam('x')), ask(directory, byTeam('y'))]).toEqual([[], ['x']]);
    directory.setNamespace('b', undefined);
    expect(ask(directory, byTeam('y'))).toEqual([]);
  });
});
