/** The seed's own cluster: frontend, backend and db on minikube, and the one policy that lets only the backend reach db. */
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { endpoints, ingressRule, namespace, node, pod, policy, service } from './cluster-fixture.ts';

export const frontend = pod('default/frontend-8b474f47-zdqdv', 'minikube', ['10.88.0.24'], {
  labels: { app: 'frontend', 'pod-template-hash': '8b474f47' },
  deployment: 'frontend',
  ports: [{ port: 80, protocol: 'TCP' }],
});
export const backend = pod('default/backend-867fd6dff-mjf92', 'minikube', ['10.88.0.27'], {
  labels: { app: 'backend', 'networking/allow-db-access': 'true' },
  deployment: 'backend',
  ports: [{ port: 80, protocol: 'TCP' }],
});
export const db = pod('default/db-8d66ff5f7-bp6kf', 'minikube', ['10.88.0.26'], {
  labels: { app: 'db' },
  deployment: 'db',
  ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
});

export const allowDbAccess = policy(
  'default/allow-db-access',
  { app: 'db' },
  {
    ingress: [ingressRule(0, { 'networking/allow-db-access': 'true' })],
    location: {
      file: 'policy.yaml',
      line: 1,
      lines: new Map([
        ['spec.ingress[0]', 10],
        ['spec.ingress[0].from[0]', 11],
      ]),
    },
  },
);

export const seedCluster: readonly ClusterObject[] = [
  namespace('default'),
  node('minikube', ['192.168.49.2'], ['10.88.0.0/24']),
  frontend,
  backend,
  db,
  service('default/backend', '10.96.0.10', {
    ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: 80, nodePort: 0 }],
  }),
  endpoints('default/backend', ['10.88.0.27'], 80),
  allowDbAccess,
];
