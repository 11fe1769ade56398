/** What one change makes of the plan: the delta names exactly what became different. */
import { describe, expect, test } from 'vitest';
import type { PolicyPlanDelta } from '../../src/policy/plan.ts';
import { Cluster, empty, labels, namespace, pod, pods, policy, rule } from './objects.ts';

const db = pod('a/db', { labels: { app: 'db' }, ips: ['10.0.0.1'] });
const web = pod('a/web', { labels: { app: 'web' }, ips: ['10.0.1.1'], node: 'node-b' });
const allowWeb = policy('a/p', {
  podSelector: labels({ app: 'db' }),
  ingress: [rule([pods(labels({ app: 'web' }))])],
});
const allowTeam = policy('a/p', {
  podSelector: labels({ app: 'db' }),
  ingress: [rule([pods(undefined, labels({ team: 'x' }))])],
});

/** The changes to IPv4 sets, without their names. */
function setChanges(delta: PolicyPlanDelta): readonly unknown[] {
  return delta.ipSets.flatMap((change) => {
    if (change.kind === 'remove') return change.family === 'ipv4' ? ['remove'] : [];
    if (change.set.family !== 'ipv4') return [];
    if (change.kind === 'create') return [`create ${[...change.set.members].sort().join(' ')}`];
    return [`+${change.added.join(' ')} -${change.removed.join(' ')}`];
  });
}

describe('the first snapshot', () => {
  test('names everything once', () => {
    const cluster = new Cluster();
    const delta = cluster.set(db, web, allowWeb);
    expect([...delta.endpoints.keys()]).toEqual(['a/db']);
    expect([...delta.policies.keys()]).toEqual(['a/knp.default.p']);
    expect([...delta.profiles]).toEqual([
      ['kns.a', true],
      ['ksa.a.default', true],
    ]);
    expect(setChanges(delta)).toEqual(['create 10.0.1.1']);
  });
});

describe('a change', () => {
  test('of nothing that matters is no change', () => {
    const cluster = new Cluster(db, web, allowWeb);
    const delta = cluster.set({ ...web, ready: false }, namespace('a', { team: 'y' }));
    expect([delta.endpoints.size, delta.policies.size, delta.profiles.size, delta.ipSets.length]).toEqual([0, 0, 0, 0]);
  });

  test('of a peer’s label moves one member', () => {
    const cluster = new Cluster(db, web, allowWeb);
    expect(setChanges(cluster.set({ ...web, labels: { app: 'job' } }))).toEqual(['+ -10.0.1.1']);
    expect(setChanges(cluster.set(web))).toEqual(['+10.0.1.1 -']);
  });

  test('of an address replaces the member', () => {
    const cluster = new Cluster(db, web, allowWeb);
    const moved = pod('a/web', { labels: { app: 'web' }, ips: ['10.0.1.9'], node: 'node-b' });
    expect(setChanges(cluster.set(moved))).toEqual(['+10.0.1.9 -10.0.1.1']);
  });

  test('there and back in one batch is no change', () => {
    const cluster = new Cluster(db, web, allowWeb);
    const delta = cluster.change([
      { type: 'delete', kind: 'Pod', key: 'a/web' },
      { type: 'delete', kind: 'NetworkPolicy', key: 'a/p' },
      { type: 'set', object: allowWeb },
      { type: 'set', object: web },
    ]);
    expect(setChanges(delta)).toEqual([]);
  });

  test('of a namespace’s labels moves its pods in and out', () => {
    const cluster = new Cluster(db, pod('b/x', { ips: ['10.0.2.1'], node: 'node-b' }), allowTeam);
    expect(cluster.members()).toEqual([]);
    expect(setChanges(cluster.set(namespace('b', { team: 'x' })))).toEqual(['+10.0.2.1 -']);
    expect(setChanges(cluster.set(namespace('b', { team: 'y' })))).toEqual(['+ -10.0.2.1']);
    expect(setChanges(cluster.set(namespace('b', { team: 'x' })))).toEqual(['+10.0.2.1 -']);
    expect(setChanges(cluster.delete('Namespace', 'b'))).toEqual(['+ -10.0.2.1']);
  });

  test('of the last pod of a namespace leaves the namespace its labels', () => {
    const other = pod('b/x', { ips: ['10.0.2.1'], node: 'node-b' });
    const cluster = new Cluster(db, namespace('b', { team: 'x' }), other, allowTeam);
    expect(setChanges(cluster.delete('Pod', 'b/x'))).toEqual(['+ -10.0.2.1']);
    expect(setChanges(cluster.set(other))).toEqual(['+10.0.2.1 -']);
  });

  test('of a namespace in the batch that brings its first pod', () => {
    const cluster = new Cluster(db, allowTeam);
    const delta = cluster.set(pod('b/x', { ips: ['10.0.2.1'], node: 'node-b' }), namespace('b', { team: 'x' }));
    expect(setChanges(delta)).toEqual(['+10.0.2.1 -']);
  });

  test('of the selector that a policy’s peer has: the old set goes, the new one comes', () => {
    const cluster = new Cluster(db, web, allowWeb);
    const delta = cluster.set({ ...allowWeb, ingress: [rule([pods(empty)])] });
    expect(setChanges(delta)).toEqual(['create 10.0.0.1 10.0.1.1', 'remove']);
    expect([...delta.policies.keys()]).toEqual(['a/knp.default.p']);
    expect(delta.endpoints.size).toBe(0);
    expect(cluster.plan.ipSets.size).toBe(2);
  });

  test('of a policy that keeps its peer leaves the set alone', () => {
    const cluster = new Cluster(db, web, allowWeb);
    const delta = cluster.set({ ...allowWeb, ingress: [...allowWeb.ingress, rule()] });
    expect([delta.policies.size, delta.ipSets.length]).toEqual([1, 0]);
  });

  test('of a policy’s own selector makes it inactive, then active', () => {
    const cluster = new Cluster(db, web, allowWeb);
    const away = cluster.set({ ...allowWeb, podSelector: labels({ app: 'none' }) });
    expect([...away.policies]).toEqual([['a/knp.default.p', undefined]]);
    expect(away.endpoints.get('a/db')?.ingress).toEqual([]);
    expect(setChanges(away)).toEqual(['remove']);
    expect(cluster.plan.ipSets.size).toBe(0);
    const back = cluster.set(allowWeb);
    expect(back.endpoints.get('a/db')?.ingress).toEqual(['a/knp.default.p']);
    expect(setChanges(back)).toEqual(['create 10.0.1.1']);
  });

  test('of the directions that a policy isolates moves it between an endpoint’s lists', () => {
    const cluster = new Cluster(db, policy('a/p', { isolatesEgress: false }));
    const lists = (delta: PolicyPlanDelta) => {
      const endpoint = delta.endpoints.get('a/db');
      return [endpoint?.ingress.length, endpoint?.egress.length];
    };
    expect(lists(cluster.set(policy('a/p', { isolatesEgress: true })))).toEqual([1, 1]);
    expect(lists(cluster.set(policy('a/p', { isolatesIngress: false, isolatesEgress: true })))).toEqual([0, 1]);
  });

  test('of a local pod’s label takes it out of the policy', () => {
    const cluster = new Cluster(db, web, allowWeb);
    const delta = cluster.set({ ...db, labels: { app: 'job' } });
    expect([...delta.policies]).toEqual([['a/knp.default.p', undefined]]);
    expect(setChanges(delta)).toEqual(['remove']);
  });

  test('of the last local pod frees everything', () => {
    const cluster = new Cluster(db, web, allowWeb);
    const delta = cluster.delete('Pod', 'a/db');
    expect([...delta.endpoints]).toEqual([['a/db', undefined]]);
    expect(cluster.plan.endpoints.size + cluster.plan.policies.size + cluster.plan.profiles.size).toBe(0);
    expect(cluster.plan.ipSets.size).toBe(0);
  });
});

describe('two pods with one address', () => {
  const successor = pod('a/web-2', { labels: { app: 'web' }, ips: ['10.0.1.1'], node: 'node-c' });

  test('the member stays until the last of them is gone', () => {
    const cluster = new Cluster(db, web, successor, allowWeb);
    expect(setChanges(cluster.delete('Pod', 'a/web'))).toEqual([]);
    expect(cluster.members()).toEqual(['10.0.1.1']);
    expect(setChanges(cluster.set({ ...successor, phase: 'Succeeded' }))).toEqual(['+ -10.0.1.1']);
  });

  test('a finished pod’s address may be a stranger’s by now: it leaves at once', () => {
    const stranger = pod('a/job', { labels: { app: 'job' }, ips: ['10.0.1.1'], node: 'node-c' });
    const cluster = new Cluster(db, web, stranger, allowWeb);
    expect(setChanges(cluster.set({ ...web, phase: 'Failed' }))).toEqual(['+ -10.0.1.1']);
  });
});
