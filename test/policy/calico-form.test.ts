import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { calicoNetworkPolicy } from '../../src/policy/calico-form.ts';
import { block, labels, named, pods, policy, range, rule } from './objects.ts';

test("the seed's policy, keys in calicoctl's order", () => {
  const seed = policy('default/allow-db-access', {
    uid: '1b3eb093-b1a8-4429-a77d-a9a054a6ae90',
    podSelector: labels({ app: 'db' }),
    ingress: [rule([pods(labels({ 'networking/allow-db-access': 'true' }))])],
  });
  expect(stringify(calicoNetworkPolicy(seed), { lineWidth: 0 })).toBe(`apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: knp.default.allow-db-access
  namespace: default
  uid: 1b3eb093-b1a8-4429-a77d-a9a054a6ae90
spec:
  ingress:
    - action: Allow
      destination: {}
      source:
        selector: projectcalico.org/orchestrator == 'k8s' && networking/allow-db-access == 'true'
  order: 1000
  selector: projectcalico.org/orchestrator == 'k8s' && app == 'db'
  types:
    - Ingress
`);
});

test('an egress rule keeps its ports, names first, with the destination', () => {
  const { spec } = calicoNetworkPolicy(
    policy('a/p', {
      egress: [rule([block('10.0.0.0/8', '10.1.0.0/16')], [range(443), range(8080, 8090), range(80), named('web')])],
    }),
  );
  expect(spec).toEqual({
    egress: [
      {
        action: 'Allow',
        destination: { nets: ['10.0.0.0/8'], notNets: ['10.1.0.0/16'], ports: ['web', 80, 443, '8080:8090'] },
        protocol: 'TCP',
        source: {},
      },
    ],
    order: 1000,
    selector: "projectcalico.org/orchestrator == 'k8s'",
    types: ['Egress'],
  });
});
