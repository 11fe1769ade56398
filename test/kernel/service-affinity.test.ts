/** Session affinity by real packets (scenarios 87 and 88): both families, TCP and UDP, every frontend, either external policy; without it the same clients meet several pods. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestLab } from './lab-fixture.ts';
import { testLab, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import type { Flow } from './probe.ts';
import { probeAll } from './probe.ts';

const families = ['ipv4', 'ipv6'] as const;
/** Of two endpoints one is missed by chance once in eight million rows. */
const connectionsPerRow = 24;

/** Two endpoints where the clients from outside come in, so that policy Local has a choice to make. */
const machines = [
  ...['node1', 'node2'].map((name) => `apiVersion: v1\nkind: Node\nmetadata: { name: ${name} }\n`),
  ...[
    ['web-1', 'node1', 'web'],
    ['web-2', 'node1', 'web'],
    ['web-3', 'node2', 'web'],
    ['near', 'node1', 'client'],
    ['far', 'node2', 'client'],
  ].map(
    ([name, node, app]) => `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${app} } }
spec: { nodeName: ${node}, containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }, { containerPort: 5353, protocol: UDP }] }] }
`,
  ),
].join('---\n');

const numbers = { Cluster: 1, Local: 2 } as const;
type Policy = keyof typeof numbers;

function service(policy: Policy, affinity: 'ClientIP' | 'None'): string {
  const number = numbers[policy];
  return `apiVersion: v1
kind: Service
metadata: { name: ${policy.toLowerCase()} }
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  clusterIPs: [10.96.0.${number}, "fd00:10:96::${number}"]
  selector: { app: web }
  sessionAffinity: ${affinity}
  externalTrafficPolicy: ${policy}
  ports:
    - { name: http, port: 80, targetPort: 8080, nodePort: ${31_000 + number} }
    - { name: dns, port: 53, targetPort: 5353, protocol: UDP, nodePort: ${31_100 + number} }
status: { loadBalancer: { ingress: [{ ip: 203.0.113.${number} }, { ip: "2001:db8::${number}" }] } }
`;
}

function services(affinity: 'ClientIP' | 'None'): string {
  return (['Cluster', 'Local'] as const).map((policy) => service(policy, affinity)).join('---\n');
}

function flowsOf(policy: Policy): readonly Flow[] {
  const number = numbers[policy];
  return families.flatMap((family) =>
    (['TCP', 'UDP'] as const).flatMap((protocol) =>
      ['near', 'far', 'node/node2', 'outside'].flatMap((from): readonly Flow[] => {
        const port = protocol === 'TCP' ? 80 : 53;
        const common = { from, protocol, family };
        const clusterIp = family === 'ipv4' ? `10.96.0.${number}` : `fd00:10:96::${number}`;
        const balanced = family === 'ipv4' ? `203.0.113.${number}` : `2001:db8::${number}`;
        const nodePort = (protocol === 'TCP' ? 31_000 : 31_100) + number;
        const inner = from === 'outside' ? [] : [{ ...common, to: clusterIp, port }];
        return [...inner, { ...common, to: balanced, port }, { ...common, to: 'node/node1', port: nodePort }];
      }),
    ),
  );
}

describeKernel('session affinity', () => {
  let lab: TestLab;
  beforeAll(async () => {
    lab = await testLab({ 'machines.yaml': machines, 'services.yaml': services('ClientIP') }, { ipFamilies: families });
    expect(lab.state.messages).toEqual([]);
    await lab.untilProgrammed('Service', 2);
  });
  afterAll(() => lab.down());

  /** For each flow who answered it, asked over and over. */
  async function answers(flows: readonly Flow[]): Promise<readonly (readonly string[])[]> {
    const asked = flows.flatMap((flow) => Array.from({ length: connectionsPerRow }, () => flow));
    const results = await probeAll(lab.state, asked);
    return flows.map((_flow, index) => {
      const own = results.slice(index * connectionsPerRow, (index + 1) * connectionsPerRow);
      return [...new Set(own.map(({ answer, detail }) => answer?.pod ?? detail))].toSorted();
    });
  }

  test.each([
    ['87, 88: policy Cluster: one client stays with one pod', 'Cluster'],
    ['87, 88: policy Local: the same', 'Local'],
  ] as const)('%s', async (_, policy) => {
    const flows = flowsOf(policy);
    const found = await answers(flows);
    const named = flows.map((flow, index) => [flow, found[index]]);
    expect(named).toEqual(flows.map((flow) => [flow, [expect.stringMatching(/^web-[123]$/)]]));
  });

  test('without affinity every one of them meets several', async () => {
    await lab.write('services.yaml', services('None'));
    const first = [...flowsOf('Cluster'), ...flowsOf('Local')].filter(({ to }) => to.startsWith('10.96.'));
    await untilTrue('both agents have it', async () => (await answers(first)).every((pods) => pods.length > 1));
    const flows = [...flowsOf('Cluster'), ...flowsOf('Local')];
    const found = await answers(flows);
    const alone = flows.filter((_flow, index) => (found[index] ?? []).length < 2);
    expect(alone).toEqual([]);
    expect(new Set(found.flat())).toEqual(new Set(['web-1', 'web-2', 'web-3']));
  });
});
