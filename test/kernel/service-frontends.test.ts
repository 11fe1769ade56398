/** Scenarios of kube-proxy.md 4 about frontends that a whole lab is needed for: node ports of every node, by TCP and UDP, and addresses that nobody has. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestLab } from './lab-fixture.ts';
import { testLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import type { Flow } from './probe.ts';
import { probeAll } from './probe.ts';

const nodes = ['node1', 'node2'];

const manifests = [
  ...nodes.map((name) => `apiVersion: v1\nkind: Node\nmetadata: { name: ${name} }\n`),
  ...[
    ['web-1', 'node1', 'web'],
    ['web-2', 'node2', 'web'],
    ['client-1', 'node1', 'client'],
    ['client-2', 'node2', 'client'],
  ].map(
    ([name, node, app]) => `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${app} } }
spec: { nodeName: ${node}, containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }, { containerPort: 5353, protocol: UDP }] }] }
`,
  ),
  `apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  type: NodePort
  selector: { app: web }
  externalIPs: [198.51.100.7]
  ports:
    - { name: http, port: 80, targetPort: 8080, nodePort: 30080 }
    - { name: dns, port: 53, targetPort: 5353, protocol: UDP, nodePort: 30053 }
`,
].join('---\n');

describeKernel('frontends of Services', () => {
  let lab: TestLab;
  beforeAll(async () => {
    lab = await testLab({ 'cluster.yaml': manifests });
    await lab.untilProgrammed('Service', 1);
  });
  afterAll(() => lab.down());

  /** Who answers each of the flows, asked often enough to meet both endpoints (missed once in four million). */
  async function answers(flows: readonly Flow[]): Promise<readonly string[]> {
    const times = 24;
    const results = await probeAll(
      lab.state,
      flows.flatMap((flow) => Array.from({ length: times }, () => flow)),
    );
    return flows.map(({ from, to, port }, index) => {
      const own = results.slice(index * times, (index + 1) * times).map(({ answer, detail }) => answer?.pod ?? detail);
      return `${from} -> ${to}:${port}: ${[...new Set(own)].toSorted().join(', ')}`;
    });
  }

  const clients = ['client-1', 'client-2', 'web-1', 'node/node1', 'node/node2', 'outside'];

  test.each([
    ['26: any pod reaches the node port of any node', 30_080, 'TCP'],
    ['37: a node port of UDP, of any node', 30_053, 'UDP'],
  ] as const)('%s', async (_, port, protocol) => {
    const asked = clients.flatMap((from) => nodes.map((node) => ({ from, to: `node/${node}`, port, protocol })));
    expect(await answers(asked)).toEqual(asked.map(({ from, to }) => `${from} -> ${to}:${port}: web-1, web-2`));
  });

  test('51: an external IP that no node has is caught on the pod’s own node', async () => {
    const asked = ['client-1', 'client-2', 'node/node1'].flatMap((from) => [
      { from, to: '198.51.100.7', port: 80, protocol: 'TCP' as const },
      { from, to: '198.51.100.7', port: 53, protocol: 'UDP' as const },
    ]);
    expect(await answers(asked)).toEqual(
      asked.map(({ from, port }) => `${from} -> 198.51.100.7:${port}: web-1, web-2`),
    );
  });
});
