/** The cluster of the published listing (header of test/vectors/seed-listing.txt). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClusterObject, Labels } from '../../src/cluster/objects.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { CompileOptions } from '../../src/compile/options.ts';
import { pod, policy, labels, namespace, pods, rule } from '../policy/objects.ts';

export const seedOptions: CompileOptions = {
  nodeName: 'minikube',
  ipFamilies: ['ipv4'],
  podStart: 'closed',
  established: 'cut',
  hostEgress: 'policed',
  hostEndpointAction: 'return',
  invalidDrop: true,
  interfacePrefixes: [],
};

const seedObjects: readonly ClusterObject[] = [
  namespace('default'),
  seedPod('frontend-8b474f47-zdqdv', '10.88.0.24', { app: 'frontend' }),
  seedPod('backend-867fd6dff-mjf92', '10.88.0.27', { app: 'backend', 'networking/allow-db-access': 'true' }),
  seedPod('db-8d66ff5f7-bp6kf', '10.88.0.26', { app: 'db' }),
  policy('default/allow-db-access', {
    podSelector: labels({ app: 'db' }),
    ingress: [rule([pods(labels({ 'networking/allow-db-access': 'true' }))])],
  }),
];

export function storeOf(objects: readonly ClusterObject[]): ClusterStore {
  const store = new ClusterStore();
  store.apply(objects.map((object) => ({ type: 'set', object })));
  return store;
}

export function seedStore(): ClusterStore {
  return storeOf(seedObjects);
}

/** The lines that iptables-save must show. */
export function seedListing(): readonly string[] {
  const text = readFileSync(join(import.meta.dirname, '../vectors/seed-listing.txt'), 'utf8');
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

function seedPod(name: string, address: string, own: Labels): ClusterObject {
  return pod(`default/${name}`, { ips: [address], labels: own, node: 'minikube' });
}
