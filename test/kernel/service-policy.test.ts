/** Services and policies together, by real packets: policy sees the pod behind the Service, and the client that the Service leaves to be seen. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadModel } from '../../src/cli/model.ts';
import { parseFlows } from '../../src/explain/flow-file.ts';
import { checkFlows } from '../../src/explain/flows.ts';
import type { TestLab } from './lab-fixture.ts';
import { testLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { labObjects, wrongFlows } from './service-flows.ts';

function pod(name: string, node: string): string {
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${name} } }
spec: { nodeName: ${node}, containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }] }] }
`;
}

function service(name: string, nodePort: number, traffic: 'Cluster' | 'Local'): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}-${traffic.toLowerCase()} }
spec:
  type: NodePort
  externalTrafficPolicy: ${traffic}
  selector: { app: ${name} }
  ports: [{ port: 80, targetPort: 8080, nodePort: ${nodePort} }]
`;
}

function policy(name: string, spec: string): string {
  return `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: ${name} }
spec: { podSelector: { matchLabels: { app: ${name} } }, ${spec} }
`;
}

/** `open` lets the client outside in, `shut` a neighbour of it; `friendly` one pod; `mute` may send to one pod and port alone; `alone` to nobody. */
const objects = [
  ...['node1', 'node2'].map((name) => `apiVersion: v1\nkind: Node\nmetadata: { name: ${name} }\n`),
  ...['open', 'shut', 'friendly', 'alone'].map((name) => pod(name, 'node1')),
  ...['friend', 'foe', 'mute'].map((name) => pod(name, 'node2')),
  service('open', 31_001, 'Local'),
  service('open', 31_002, 'Cluster'),
  service('shut', 31_003, 'Local'),
  service('friendly', 31_004, 'Cluster'),
  service('alone', 31_005, 'Local'),
].join('---\n');

const policies = [
  policy(
    'open',
    'ingress: [{ from: [{ ipBlock: { cidr: 172.31.254.2/32 } }, { ipBlock: { cidr: "fd00:172:31:254::2/128" } }], ports: [{ port: 8080 }] }]',
  ),
  policy(
    'shut',
    'ingress: [{ from: [{ ipBlock: { cidr: 172.31.254.64/26 } }, { ipBlock: { cidr: "fd00:172:31:254:1::/80" } }] }]',
  ),
  policy('friendly', 'ingress: [{ from: [{ podSelector: { matchLabels: { app: friend } } }] }]'),
  policy(
    'mute',
    'policyTypes: [Egress], egress: [{ to: [{ podSelector: { matchLabels: { app: open } } }], ports: [{ port: 8080 }] }]',
  ),
  policy('alone', 'policyTypes: [Ingress, Egress]'),
].join('---\n');

const flows = parseFlows(
  `
- { from: outside, to: "node/node1:31001", expect: allowed, dnat: "open:8080", source: outside, why: Local keeps the source and policy knows it }
- { from: outside, to: "node/node1:31003", expect: denied, why: the client is not in the block }
- { from: outside, to: "node/node1:31002", expect: allowed, source: node/node1, why: policy comes before the client is hidden }
- { from: outside, to: "node/node2:31002", expect: denied, why: node2 has hidden the client behind itself }
- { from: friend, to: "svc/friendly-cluster:80", expect: allowed, dnat: "friendly:8080", source: friend, why: a pod keeps its address on its way to another node }
- { from: foe, to: "svc/friendly-cluster:80", expect: denied }
- { from: friend, to: "node/node2:31004", expect: denied, why: as nodePort client a pod is hidden behind its node }
- { from: node/node1, to: "svc/shut-local:80", expect: allowed, why: a node reaches its own pods }
- { from: node/node2, to: "svc/friendly-cluster:80", expect: denied, why: another node is no friend }
- { from: alone, to: "svc/alone-local:80", expect: allowed, dnat: "alone:8080", why: a pod reaches itself through a Service }
- { from: alone, to: "node/node1:31005", expect: allowed, dnat: "alone:8080", why: by the nodePort too }
- { from: alone, to: "svc/open-local:80", expect: denied }
- { from: mute, to: "svc/open-cluster:80", expect: denied, why: its egress is allowed but open lets outside alone in }
- { from: mute, to: "svc/friendly-cluster:80", expect: denied, why: its egress policy sees the pod behind the Service }
`,
  'flows.yaml',
);

const egressOnly = parseFlows(
  `
- { from: mute, to: "svc/open-cluster:80", expect: allowed, dnat: "open:8080", source: mute, why: the port behind the Service is the one that the policy names }
- { from: mute, to: "open:8080", expect: allowed }
- { from: mute, to: "svc/shut-local:80", expect: denied }
`,
  'flows.yaml',
);

const choices = [
  { cni: 'ptp', iptables: 'nft', ipFamilies: ['ipv4'] },
  { cni: 'bridge', iptables: 'legacy', ipFamilies: ['ipv4'] },
  { cni: 'bridge', iptables: 'nft', ipFamilies: ['ipv4'] },
  { cni: 'ptp', iptables: 'legacy', ipFamilies: ['ipv6'] },
  { cni: 'bridge', iptables: 'nft', ipFamilies: ['ipv6'] },
] as const;

for (const choice of choices) {
  describeKernel(`Services and policies, ${choice.cni}, ${choice.iptables}, ${choice.ipFamilies.join()}`, () => {
    let lab: TestLab;
    beforeAll(async () => {
      lab = await testLab({ 'cluster.yaml': objects, 'policies.yaml': policies }, choice);
      await lab.untilProgrammed('NetworkPolicy', 5);
    });
    afterAll(() => lab.down());

    test('who is let in and out, and whom the server sees', async () => {
      expect(flows.diagnostics).toEqual([]);
      expect(await mistakes(flows.flows)).toEqual([]);
    });

    test('egress policy names the port of the pod, not of the Service', async () => {
      const [, ...others] = policies.split('---\n');
      await lab.write('policies.yaml', others.join('---\n'));
      await lab.untilProgrammed('NetworkPolicy', 4);
      expect(await mistakes(egressOnly.flows)).toEqual([]);
    });

    test('without policies everybody reaches everything: what was denied was denied by them', async () => {
      await lab.remove('policies.yaml');
      await lab.untilProgrammed('NetworkPolicy', 0);
      const allowed = [...flows.flows, ...egressOnly.flows].map(({ from, to, line }) => ({ from, to, line }));
      expect(await mistakes(allowed.map((flow) => ({ ...flow, expect: 'allowed' as const })))).toEqual([]);
    });

    /** Of the packets, and of the tracer. */
    async function mistakes(asked: typeof flows.flows): Promise<readonly string[]> {
      const model = await loadModel({ state: await labObjects(lab.state), diagnostics: [] });
      const traced = checkFlows(model, asked).filter(({ passed }) => !passed);
      return [...traced.map(({ reason }) => `tracer: ${reason}`), ...(await wrongFlows(lab.state, model, asked))];
    }
  });
}
