import { describe, expect, test } from 'vitest';
import type { ClusterChange } from '../../src/cluster/state.ts';
import { compileAll, Compiler } from '../../src/compile/compiler.ts';
import { syntheticFacts } from '../../src/compile/synthetic-facts.ts';
import type { DataplaneDelta } from '../../src/dataplane/dataplane.ts';
import { vethName } from '../../src/dataplane/names.ts';
import { cidr, ip, labels, namespace, pod, pods, policy, rule } from '../policy/objects.ts';
import type { ServiceOptions } from '../../src/service/options.ts';
import { factsOf, nodeObject, nodeOptions, routed } from './node.ts';
import { storeOf } from './seed-cluster.ts';

const options = { ...nodeOptions, ipFamilies: ['ipv4'] } as const;
const web = pod('a/web', { ips: ['10.9.0.10'], labels: { app: 'web' } });
const db = pod('a/db', { ips: ['10.9.0.11'], labels: { app: 'db' } });
const allowWeb = policy('a/allow-web', {
  podSelector: labels({ app: 'db' }),
  ingress: [rule([pods(labels({ app: 'web' }))])],
});
const bindings = [
  { pod: web, binding: routed('vethweb') },
  { pod: db, binding: routed('vethdb') },
];

/** A compiler that has made its first dataplane, and a way to change the cluster under it. */
function started() {
  const store = storeOf([namespace('a'), nodeObject, web, db, allowWeb]);
  const compiler = new Compiler(store, options);
  compiler.apply([], factsOf(bindings));
  const change = (...changes: ClusterChange[]): DataplaneDelta => compiler.apply(store.apply(changes)).delta;
  return { compiler, change };
}

const set = (object: Extract<ClusterChange, { type: 'set' }>['object']): ClusterChange => ({ type: 'set', object });

/** The chains of a change: `+` written, `-` removed. */
function chainsOf(delta: DataplaneDelta): readonly string[] {
  return delta.chains.map(({ table, name, chain }) => `${chain === undefined ? '-' : '+'}${table} ${name}`);
}

describe('a change costs what it touches', () => {
  test('nothing changed, nothing to do', () => {
    expect(started().change()).toEqual({ ipSets: [], chains: [], hooks: [] });
  });

  test('another rule of a policy: its chain and set alone', () => {
    const delta = started().change(set({ ...allowWeb, ingress: [rule([pods(labels({ app: 'admin' }))])] }));
    expect(chainsOf(delta)).toEqual([expect.stringMatching(/^\+filter cali-pi-/)]);
    expect(delta.ipSets.map(({ kind }) => kind).sort()).toEqual(['create', 'remove']);
    expect(delta.hooks).toEqual([]);
  });

  test('the label of a peer: one member', () => {
    const delta = started().change(set({ ...web, labels: { app: 'other' } }));
    expect(chainsOf(delta)).toEqual([]);
    expect(delta.ipSets).toMatchObject([{ kind: 'members', added: [], removed: ['10.9.0.10'] }]);
  });

  test('a pod that comes to be isolated: its own chains, and the guard knows it', () => {
    const deny = policy('a/deny', { podSelector: labels({ app: 'web' }), egress: [] });
    const delta = started().change(set(deny));
    expect(chainsOf(delta)).toEqual(['+filter cali-fw-vethweb', expect.stringMatching(/^\+filter cali-po-/)]);
    expect(delta.ipSets).toMatchObject([{ kind: 'members', set: { name: 'cali40policed' }, added: ['10.9.0.10'] }]);
  });

  test('the last policy goes: chain, set and isolation with it', () => {
    const delta = started().change({ type: 'delete', kind: 'NetworkPolicy', key: 'a/allow-web' });
    expect(chainsOf(delta)).toEqual([expect.stringMatching(/^-filter cali-pi-/), '+filter cali-tw-vethdb']);
    expect(
      delta.ipSets.map((change) => [change.kind, change.kind === 'remove' ? change.name : change.set.name]),
    ).toEqual([
      ['remove', expect.stringMatching(/^cali40s:/)],
      ['members', 'cali40policed'],
    ]);
  });

  test('a pod goes: everything of it goes, the dispatch is written again', () => {
    const delta = started().change({ type: 'delete', kind: 'Pod', key: 'a/web' });
    expect(chainsOf(delta)).toEqual([
      '+raw cali-raw-dispatch',
      '-raw cali-src-vethweb',
      '+filter cali-from-wl-dispatch',
      '-filter cali-fw-vethweb',
      '+filter cali-self',
      '+filter cali-to-wl-dispatch',
      '-filter cali-tw-vethweb',
    ]);
  });

  test('a remote pod or a Service of others touches no chain', () => {
    const delta = started().change(set(pod('a/far', { ips: ['10.9.1.5'], labels: { app: 'web' }, node: 'node-b' })));
    expect(chainsOf(delta)).toEqual([]);
    expect(delta.ipSets).toMatchObject([{ kind: 'members', added: ['10.9.1.5'], removed: [] }]);
  });

  test('an endpoint that is as it was stays the same object', () => {
    const { compiler, change } = started();
    const before = compiler.endpoints.get('a/db');
    change(set({ ...web, labels: { app: 'other' } }));
    expect(before).toBeDefined();
    expect(compiler.endpoints.get('a/db')).toBe(before);
  });

  test('an unchanged chain stays the same object', () => {
    const { compiler, change } = started();
    const before = new Map(compiler.dataplane.tables.ipv4.chains.filter);
    change(set({ ...web, ready: false }));
    const after = compiler.dataplane.tables.ipv4.chains.filter;
    expect([...after].filter(([name, chain]) => before.get(name) !== chain)).toEqual([]);
    expect(after.size).toBe(before.size);
  });
});

describe('what the node finds out about itself', () => {
  test('an interface passes from one pod to another in one change', () => {
    const { compiler, change } = started();
    const next = pod('a/next', { ips: ['10.9.0.12'] });
    change(set(next));
    const moved = [{ pod: next, binding: routed('vethweb') }, ...bindings.slice(1)];
    const { delta } = compiler.apply([], factsOf(moved));
    expect(chainsOf(delta)).not.toContain('-filter cali-tw-vethweb');
    expect(compiler.endpoints.get('a/next')?.chainSuffix).toBe('vethweb');
    expect([...compiler.dataplane.tables.ipv4.chains.filter.keys()]).toContain('cali-tw-vethweb');
  });

  test('a pod is programmed when its way is known, and its address enters the set then', () => {
    const { compiler, change } = started();
    const next = pod('a/next', { ips: ['10.9.0.12'] });
    expect(chainsOf(change(set(next)))).toEqual([]);
    const { delta } = compiler.apply([], factsOf([...bindings, { pod: next, binding: routed('vethnext') }]));
    expect(chainsOf(delta)).toContain('+filter cali-fw-vethnext');
    expect(delta.ipSets).toMatchObject([
      { kind: 'members', set: { name: 'cali40programmed', gate: true }, added: ['10.9.0.12'], removed: [] },
    ]);
  });

  test('be_liberal ends the INVALID drop of every pod', () => {
    const { compiler } = started();
    const { delta } = compiler.apply([], { ...factsOf(bindings), conntrackLiberal: true });
    expect(chainsOf(delta)).toEqual(
      ['fw', 'tw'].flatMap((half) => ['db', 'web'].map((name) => `+filter cali-${half}-veth${name}`)),
    );
  });

  test('the pod CIDR of the own node closes addresses, that of another does not', () => {
    const { change } = started();
    expect(chainsOf(change(set({ ...nodeObject, name: 'node-b', podCidrs: [cidr('10.9.1.0/24')] })))).toEqual([]);
    const delta = change(set({ ...nodeObject, podCidrs: [cidr('10.9.2.0/24')] }));
    expect(chainsOf(delta)).toEqual(['+filter cali-FORWARD', '+filter cali-INPUT']);
  });
});

test('two pods with one address are told of, as long as it lasts', () => {
  const { compiler, change } = started();
  change(set(pod('a/zwin', { ips: ['10.9.0.10'] })));
  const told = compiler.apply([]).diagnostics;
  expect(told.map(({ object }) => object)).toEqual(['Pod a/zwin']);
  change({ type: 'delete', kind: 'Pod', key: 'a/zwin' });
  expect(compiler.apply([]).diagnostics).toEqual([]);
});

describe('synthetic facts', () => {
  test('every pod of the node is routed through the veth that Calico would give it', () => {
    const host = pod('a/host', { ips: ['192.0.2.1'] }, { hostNetwork: true });
    const done = pod('a/done', { ips: ['10.9.0.13'] }, { phase: 'Succeeded' });
    const far = pod('a/far', { ips: ['10.9.1.5'], node: 'node-b' });
    const facts = syntheticFacts(storeOf([nodeObject, web, host, done, far]), 'node-a');
    expect([...facts.bindings]).toEqual([[ip('10.9.0.10'), routed(vethName('a', 'web'))]]);
    expect(facts.nodeAddresses).toEqual(nodeObject.addresses);
  });

  test('of two pods with one address the interface is that of the pod that is programmed', () => {
    const old = pod('a/aaa', { ips: ['10.9.0.10'] }, { terminating: true });
    for (const objects of [
      [web, old],
      [old, web],
    ]) {
      const store = storeOf([nodeObject, ...objects]);
      const { endpoints } = compileAll(store, options, syntheticFacts(store, 'node-a'));
      expect([...endpoints.values()].map(({ key, chainSuffix }) => [key, chainSuffix])).toEqual([
        ['a/web', vethName('a', 'web')],
      ]);
    }
  });
});

describe('Services', () => {
  const services: ServiceOptions = {
    nodeName: 'node-a',
    detector: { kind: 'none' },
    masqueradeAll: false,
    nodePortAddresses: [],
    localhostNodePorts: false,
    nodeAddresses: nodeObject.addresses,
    conntrackLiberal: false,
  };
  const store = storeOf([namespace('a'), nodeObject, web, db, allowWeb]);
  const { dataplane, servicePlan } = compileAll(store, { ...options, services }, factsOf(bindings));
  const hooks = dataplane.tables.ipv4.hooks.filter(({ table, chain }) => table === 'filter' && chain === 'FORWARD');

  test('policy is asked before KUBE-FORWARD accepts, and its verdict carried out after everybody', () => {
    const targets = hooks.map(({ rule: { action } }) => (action.kind === 'jump' ? action.chain : action.kind));
    expect(targets[0]).toBe('cali-FORWARD');
    expect(targets).toContain('KUBE-FORWARD');
    expect(hooks.filter(({ position }) => position === 'last').map(({ rule: { action } }) => action.kind)).toEqual([
      'accept',
    ]);
  });

  test('they have their chains and their plan, and without the option neither', () => {
    expect([...dataplane.tables.ipv4.chains.nat.keys()]).toContain('KUBE-SERVICES');
    expect(servicePlan?.services.size).toBe(0);
    const without = compileAll(store, options, factsOf(bindings));
    expect(without.servicePlan).toBeUndefined();
    expect(without.dataplane.tables.ipv4.chains.nat.size).toBe(0);
  });
});
