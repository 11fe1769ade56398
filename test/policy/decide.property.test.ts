import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Namespace, NetworkPolicy, Pod } from '../../src/cluster/objects.ts';
import { matchesSelector } from '../../src/cluster/selector.ts';
import type { ClusterState, ClusterChange } from '../../src/cluster/state.ts';
import type { IpSetName } from '../../src/dataplane/names.ts';
import type { ActivePolicy, PolicyPlan, PolicyPlanDelta, WorkloadEndpoint } from '../../src/policy/plan.ts';
import { planDirection } from '../../src/policy/planned-rules.ts';
import type { SetSpec } from '../../src/policy/set-spec.ts';
import { crowd, someHistory } from './arbitrary.ts';
import { Cluster, snapshot } from './objects.ts';

const runs = { numRuns: 400 };

function after(history: readonly (readonly ClusterChange[])[]): Cluster {
  const cluster = new Cluster();
  for (const batch of history) cluster.change(batch);
  return cluster;
}

function objectsOf(state: ClusterState): readonly (Pod | Namespace | NetworkPolicy)[] {
  return [...state.pods.values(), ...state.namespaces.values(), ...state.networkPolicies.values()];
}

test('incremental equals from scratch', () => {
  fc.assert(
    fc.property(someHistory, (history) => {
      const cluster = after(history);
      expect(snapshot(cluster.plan)).toEqual(snapshot(new Cluster(...objectsOf(cluster.store)).plan));
    }),
    runs,
  );
}, 120_000);

test('any order of the same objects gives the same plan', () => {
  const shuffled = someHistory.chain((history) => {
    const objects = objectsOf(after(history).store);
    return fc.tuple(
      fc.constant(objects),
      fc.shuffledSubarray([...objects], { minLength: objects.length, maxLength: objects.length }),
    );
  });
  fc.assert(
    fc.property(shuffled, ([objects, others]) => {
      const oneByOne = new Cluster();
      for (const object of others) oneByOne.set(object);
      expect(snapshot(oneByOne.plan)).toEqual(snapshot(new Cluster(...objects).plan));
    }),
    runs,
  );
}, 120_000);

test('the deltas, applied one after the other, are the plan', () => {
  fc.assert(
    fc.property(someHistory, (history) => {
      const cluster = new Cluster();
      const follower = new Follower();
      for (const batch of history) {
        follower.apply(cluster.change(batch));
        expect(follower.snapshot()).toEqual(seenBy(cluster.plan));
      }
    }),
    runs,
  );
}, 120_000);

test('endpoints, policies and members are what looking at every pod and policy finds', () => {
  fc.assert(
    fc.property(someHistory, (history) => {
      const { store, plan } = after(history);
      expect(membersOf(plan)).toEqual(expectedMembers(store));
      for (const [key, endpoint] of expectedEndpoints(store)) expect(plan.endpoints.get(key)).toEqual(endpoint);
      expect([...plan.endpoints.keys()].sort()).toEqual([...expectedEndpoints(store).keys()].sort());
    }),
    runs,
  );
}, 120_000);

test('the same among many pods', () => {
  fc.assert(
    fc.property(someHistory, (history) => {
      const { store, plan } = after([crowd, ...history]);
      expect(membersOf(plan)).toEqual(expectedMembers(store));
      expect(snapshot(plan)).toEqual(snapshot(new Cluster(...objectsOf(store)).plan));
    }),
    { numRuns: 150 },
  );
}, 120_000);

/** Knows only what deltas say. Members of a set are copied, because the plan's are live. */
class Follower {
  readonly #endpoints = new Map<string, WorkloadEndpoint>();
  readonly #policies = new Map<string, ActivePolicy>();
  readonly #profiles = new Set<string>();
  readonly #members = new Map<IpSetName, Set<string>>();

  apply(delta: PolicyPlanDelta): void {
    for (const [key, endpoint] of delta.endpoints) follow(this.#endpoints, key, endpoint);
    for (const [id, policy] of delta.policies) follow(this.#policies, id, policy);
    for (const [profile, isUsed] of delta.profiles) {
      expect(this.#profiles.has(profile)).toBe(!isUsed);
      if (isUsed) this.#profiles.add(profile);
      else this.#profiles.delete(profile);
    }
    for (const change of delta.ipSets) {
      if (change.kind === 'remove') {
        expect(this.#members.delete(change.name)).toBe(true);
      } else if (change.kind === 'create') {
        expect(this.#members.has(change.set.name)).toBe(false);
        this.#members.set(change.set.name, new Set(change.set.members));
      } else {
        const members = this.#members.get(change.set.name) ?? new Set();
        for (const member of change.removed) expect(members.delete(member)).toBe(true);
        for (const member of change.added) expect(members.has(member) || !members.add(member)).toBe(false);
      }
    }
  }

  snapshot(): unknown {
    return {
      endpoints: sorted(this.#endpoints),
      policies: sorted(this.#policies),
      profiles: [...this.#profiles].sort(),
      members: sorted(this.#members).map(([name, members]) => [name, [...members].sort()]),
    };
  }
}

function seenBy(plan: PolicyPlan): unknown {
  return {
    endpoints: sorted(plan.endpoints),
    policies: sorted(plan.policies),
    profiles: [...plan.profiles.keys()].sort(),
    members: membersOf(plan),
  };
}

function membersOf(plan: PolicyPlan): readonly (readonly [string, readonly string[]])[] {
  return sorted(plan.ipSets).map(([name, set]) => [name, [...set.members].sort()]);
}

function follow<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) expect(map.delete(key)).toBe(true);
  else map.set(key, value);
}

function sorted<T>(map: ReadonlyMap<string, T>): readonly (readonly [string, T])[] {
  return [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function isPoliced(pod: Pod): boolean {
  return !pod.hostNetwork && !['Succeeded', 'Failed'].includes(pod.phase) && pod.ips.length > 0;
}

function selects(policy: NetworkPolicy, pod: Pod): boolean {
  return policy.namespace === pod.namespace && matchesSelector(policy.podSelector, pod.labels);
}

function localPods(state: ClusterState): readonly Pod[] {
  return [...state.pods.values()].filter((pod) => isPoliced(pod) && pod.nodeName === 'node-a');
}

function expectedEndpoints(state: ClusterState): ReadonlyMap<string, WorkloadEndpoint> {
  const policies = [...state.networkPolicies.values()];
  const idsOf = (own: readonly NetworkPolicy[]) => own.map((p) => `${p.namespace}/knp.default.${p.name}`).sort();
  return new Map(
    localPods(state).map((pod) => {
      const own = policies.filter((policy) => selects(policy, pod));
      const key = `${pod.namespace}/${pod.name}`;
      return [
        key,
        {
          key,
          pod,
          ingress: idsOf(own.filter((policy) => policy.isolatesIngress)),
          egress: idsOf(own.filter((policy) => policy.isolatesEgress)),
          profiles: [`kns.${pod.namespace}`, `ksa.${pod.namespace}.${pod.serviceAccount}`],
        },
      ];
    }),
  );
}

function expectedMembers(state: ClusterState): readonly (readonly [string, readonly string[]])[] {
  const local = localPods(state);
  const active = [...state.networkPolicies.values()].filter((policy) => local.some((pod) => selects(policy, pod)));
  const specs = active.flatMap((policy) => [
    ...(policy.isolatesIngress ? planDirection(policy, 'ingress').sets : []),
    ...(policy.isolatesEgress ? planDirection(policy, 'egress').sets : []),
  ]);
  const members = new Map<string, readonly string[]>();
  for (const spec of specs) {
    members.set(spec.names.ipv4, expectedMembersOf(spec, state, false));
    members.set(spec.names.ipv6, expectedMembersOf(spec, state, true));
  }
  return sorted(members);
}

function expectedMembersOf(spec: SetSpec, state: ClusterState, isIpv6: boolean): readonly string[] {
  const found = [...state.pods.values()].filter((pod) => isPoliced(pod) && isSelected(spec, pod, state));
  const texts = found.flatMap((pod) => {
    const ips = pod.ips.filter((ip) => ip.includes(':') === isIpv6);
    const { port } = spec;
    if (port === undefined) return ips;
    const ports = pod.ports.filter((own) => own.name === port.name && own.protocol.toLowerCase() === port.protocol);
    return ips.flatMap((ip) => ports.map((own) => `${ip},${port.protocol}:${own.port}`));
  });
  return [...new Set<string>(texts)].sort();
}

function isSelected({ selection }: SetSpec, pod: Pod, state: ClusterState): boolean {
  const { namespaces, pods } = selection;
  if (!matchesSelector(pods, pod.labels)) return false;
  if (namespaces.kind === 'one') return namespaces.name === pod.namespace;
  const implicit = { 'kubernetes.io/metadata.name': pod.namespace };
  const labels = state.namespaces.get(pod.namespace)?.labels ?? implicit;
  return namespaces.kind === 'all' || matchesSelector(namespaces.selector, labels);
}

// A plan is made of objects that a source may keep: none may be changed.
test('objects are never changed', () => {
  fc.assert(
    fc.property(someHistory, (history) => {
      const copies = structuredClone(history);
      after(history);
      expect(history).toEqual(copies);
    }),
    { numRuns: 50 },
  );
}, 120_000);
