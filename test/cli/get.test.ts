import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runSluice } from './run-sluice.ts';

const seed = ['--manifests', 'examples/seed'];

test('network policies in the form that calicoctl prints', async () => {
  const { stdout } = await runSluice(['get', 'networkPolicy', '-o', 'yaml', ...seed]);
  expect(stdout).toBe(`apiVersion: projectcalico.org/v3
items:
- apiVersion: projectcalico.org/v3
  kind: NetworkPolicy
  metadata:
    name: knp.default.allow-db-access
    namespace: default
  spec:
    ingress:
    - action: Allow
      destination: {}
      source:
        selector: projectcalico.org/orchestrator == 'k8s' && networking/allow-db-access
          == 'true'
    order: 1000
    selector: projectcalico.org/orchestrator == 'k8s' && app == 'db'
    types:
    - Ingress
kind: NetworkPolicyList
metadata: {}
`);
});

test.each([
  [['get', 'np'], 'NAME\nknp.default.allow-db-access\n'],
  [['get', 'NetworkPolicies', 'allow-db-access'], 'NAME\nknp.default.allow-db-access\n'],
  [
    ['get', 'networkpolicy', '-o', 'wide'],
    `NAME                          ORDER   SELECTOR
knp.default.allow-db-access   1000    projectcalico.org/orchestrator == 'k8s' && app == 'db'
`,
  ],
  [['get', 'np', '-A'], 'NAMESPACE   NAME\ndefault     knp.default.allow-db-access\n'],
  [['get', 'np', '-n', 'other'], 'NAME\n'],
  [
    ['get', 'workloadEndpoint'],
    `WORKLOAD                  NODE       NETWORKS        INTERFACE
backend-867fd6dff-mjf92   minikube   10.88.0.27/32   cali2b1490aa46a
db-8d66ff5f7-bp6kf        minikube   10.88.0.26/32   cali95aa86cbb2a
frontend-8b474f47-zdqdv   minikube   10.88.0.24/32   cali505cfbeac50
`,
  ],
  [
    ['get', 'wep', 'db-8d66ff5f7-bp6kf', '-o', 'wide'],
    `NAME                                     WORKLOAD             NODE       NETWORKS        INTERFACE         PROFILES
minikube-k8s-db--8d66ff5f7--bp6kf-eth0   db-8d66ff5f7-bp6kf   minikube   10.88.0.26/32   cali95aa86cbb2a   kns.default,ksa.default.default
`,
  ],
  [['get', 'diagnostics'], 'SEVERITY   OBJECT   FIELD   MESSAGE\n'],
])('%j', async (args, expected) => {
  const { stdout, exitCode } = await runSluice([...args, ...seed]);
  expect(stdout).toBe(expected);
  expect(exitCode).toBe(0);
});

test('IP sets with their members and what they are for', async () => {
  const { stdout } = await runSluice(['get', 'ipset', 'cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge', '-o', 'json', ...seed]);
  expect(JSON.parse(stdout)).toMatchObject({ node: 'minikube', type: 'hash:net', members: ['10.88.0.27'] });
});

test('services with their endpoints', async () => {
  const { stdout } = await runSluice(['get', 'svc', '-o', 'wide', ...seed]);
  expect(stdout).toMatch(
    /^db +ClusterIP +10\.96\.\d+\.\d+ +<none> +80\/TCP +app=db +Cluster +None +10\.88\.0\.26:80$/m,
  );
});

test('the plan of a Service on a node: what becomes of its clients, and why each endpoint is used or not', async () => {
  const local = ['--manifests', 'examples/traffic-policy-local/manifests', '--node', 'node2'];
  const { stdout } = await runSluice(['get', 'svc', 'frontend', '-o', 'json', ...local]);
  const outer = { trafficPolicy: 'Local', served: false, why: 'no endpoints on this node: packets are dropped' };
  expect(JSON.parse(stdout)).toMatchObject({
    kind: 'Service',
    plan: {
      node: 'node2',
      ports: [
        {
          servicePort: 'default/frontend',
          frontends: [
            {
              kind: 'ClusterIP',
              trafficPolicy: 'Cluster',
              served: true,
              endpoints: 2,
              masqueraded: 'all but pods of this node',
            },
            {
              kind: 'nodePort',
              address: '*:31380',
              ...outer,
              masqueraded: 'this node itself',
              fromThisNode: 'all 2 endpoints',
            },
          ],
          endpoints: [
            {
              node: 'node3',
              used: true,
              policyCluster: 'used: it is ready',
              policyLocal: 'not used: it is on another node',
            },
            {
              node: 'node1',
              used: true,
              policyCluster: 'used: it is ready',
              policyLocal: 'not used: it is on another node',
            },
          ],
        },
      ],
    },
  });
});

test('headless and ExternalName Services have no plan but what DNS answers', async () => {
  const headless = ['--manifests', 'examples/headless/manifests'];
  const { stdout } = await runSluice(['get', 'svc', '-o', 'json', ...headless]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is asserted
  const { items } = JSON.parse(stdout) as { items: { name: string; plan: { served: boolean; why: string } }[] };
  expect(items.map(({ name, plan }) => [name, plan.served, plan.why])).toEqual([
    ['bank', false, 'ExternalName: no rules; DNS answers bank.example.com'],
    ['shop', false, 'ExternalName: no rules; DNS answers webapp-hs.default.svc.cluster.local'],
    ['webapp-hs', false, expect.stringMatching(/^headless: no rules; DNS answers 10\.88\.\d+\.\d+, 10\.88\.\d+\.\d+$/)],
  ]);
  const wide = await runSluice(['get', 'svc', 'webapp-hs', '-o', 'wide', ...headless]);
  expect(wide.stdout).toMatch(/^webapp-hs +ClusterIP +None .* 10\.88\.\d+\.\d+,10\.88\.\d+\.\d+$/m);
});

test('a node that is not there is named', async () => {
  const { stderr, exitCode } = await runSluice(['get', 'svc', '--node', 'nowhere', ...seed]);
  expect([exitCode, stderr]).toEqual([2, 'sluice: no node is called nowhere; the nodes are minikube\n']);
});

test('one named object is printed without a list around it', async () => {
  const { stdout } = await runSluice(['get', 'np', 'allow-db-access', '-o', 'json', ...seed]);
  expect(JSON.parse(stdout)).toMatchObject({ kind: 'NetworkPolicy' });
});

test('a name that is not there is an error that says where it was looked for', async () => {
  const { stderr, exitCode } = await runSluice(['get', 'np', 'nobody', ...seed]);
  expect(exitCode).toBe(2);
  expect(stderr).toBe('sluice: get: nothing is called nobody in namespace default\n');
});

describe('Services that claim one address', () => {
  const claims = `apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: { name: kubernetes }
spec: { cidrs: [10.96.0.0/16] }
---
apiVersion: v1
kind: Service
metadata: { name: young, creationTimestamp: "2026-02-01T00:00:00Z" }
spec: { clusterIP: 10.96.0.7, externalIPs: [198.51.100.1], ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: zold, creationTimestamp: "2026-01-01T00:00:00Z" }
spec: { clusterIP: 10.43.0.8, externalIPs: [198.51.100.1], ports: [{ port: 80 }] }
`;

  async function get(...args: readonly string[]): ReturnType<typeof runSluice> {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-claims-'));
    try {
      writeFileSync(join(directory, 'services.yaml'), claims);
      return await runSluice(['get', ...args, '--manifests', directory]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  test('diagnostics say who has it, and which ClusterIP no ServiceCIDR holds', async () => {
    const { stdout, exitCode } = await get('diagnostic');
    expect(stdout).toBe(`SEVERITY   OBJECT                  FIELD                 MESSAGE
error      Service default/young   spec.externalIPs[0]   198.51.100.1:80/TCP is also claimed by Service default/zold, which is older and has it; Service default/young is not served there
warning    Service default/zold    spec.clusterIP        10.43.0.8 is outside of every ServiceCIDR (10.96.0.0/16)
`);
    expect(exitCode).toBe(2);
  });

  test('the plan of the one that lost', async () => {
    const { stdout, stderr } = await get('service', 'young', '-o', 'yaml');
    expect(stdout).toContain(`    - kind: external IP
      address: 198.51.100.1:80
      served: false
      why: Service default/zold claims it too, and has it
`);
    expect(stderr).toContain('services.yaml:9: spec.externalIPs[0]: 198.51.100.1:80/TCP is also claimed by');
  });
});
