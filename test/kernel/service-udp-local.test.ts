/**
 * UDP flows of a Service whose policies are both Local, in a real conntrack, in both families and by every frontend: clients with one port for
 * ever, while endpoints become unready, terminate, come back and go (scenarios 105 to 110).
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { namespaceOf } from '../../src/lab/exec.ts';
import { Asking } from './asking.ts';
import type { TestLab } from './lab-fixture.ts';
import { testLab, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { probeAll } from './probe.ts';

const families = ['ipv4', 'ipv6'] as const;

interface Shape {
  readonly app?: string;
  readonly isReady?: boolean;
  readonly isTerminating?: boolean;
}

/** Behind the Service where `app` is dns, as it is unless told otherwise. All on one node. */
function pods(shapes: Readonly<Record<'dns-a' | 'dns-b' | 'client', Shape>>): string {
  return Object.entries(shapes)
    .map(
      ([name, { app = 'dns', isReady = true, isTerminating = false }]) => `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${app} }${isTerminating ? ', deletionTimestamp: 2026-11-29T04:00:00Z' : ''} }
spec: { nodeName: node1, containers: [{ name: c, image: none, ports: [{ containerPort: 53, protocol: UDP }] }] }
status: { conditions: [{ type: Ready, status: "${isReady ? 'True' : 'False'}" }] }
`,
    )
    .join('---\n');
}

const away = { app: 'none' };
const client = { app: 'client' };

const service = `apiVersion: v1
kind: Service
metadata: { name: dns }
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  clusterIPs: [10.96.0.10, "fd00:10:96::10"]
  externalIPs: [198.51.100.53, "2001:db8:1::53"]
  selector: { app: dns }
  internalTrafficPolicy: Local
  externalTrafficPolicy: Local
  ports: [{ port: 53, protocol: UDP, nodePort: 30530 }]
status: { loadBalancer: { ingress: [{ ip: 203.0.113.53 }, { ip: "2001:db8::53" }] } }
`;

const outer = { ipv4: ['198.51.100.53', '203.0.113.53'], ipv6: ['2001:db8:1::53', '2001:db8::53'] } as const;
const clusterIps = { ipv4: '10.96.0.10', ipv6: 'fd00:10:96::10' } as const;

describeKernel('UDP flows of a Service, policies Local', () => {
  let lab: TestLab;
  let asking: Asking;
  const ids: string[] = [];

  beforeAll(async () => {
    const files = {
      'nodes.yaml': 'apiVersion: v1\nkind: Node\nmetadata: { name: node1 }\n',
      'pods.yaml': pods({ 'dns-a': {}, 'dns-b': away, client }),
      'dns.yaml': service,
    };
    lab = await testLab(files, { ipFamilies: families });
    const { state } = lab;
    const orders: Record<string, { id: string; address: string; port: number }[]> = {};
    const add = (from: string, address: string, port = 53) => {
      const id = `${from} -> ${address}`;
      ids.push(id);
      (orders[namespaceOf(state, from)] ??= []).push({ id, address, port });
    };
    for (const family of families) {
      const node = state.nodes[0]?.addresses.find((address) => address.includes(':') === (family === 'ipv6')) ?? '';
      for (const from of ['client', 'node/node1']) add(from, clusterIps[family]);
      for (const address of outer[family]) add('outside', address);
      add('outside', node, 30_530);
    }
    // A node’s own nodePort on localhost is in neither the table of routes nor behind another machine.
    add('node/node1', '127.0.0.1', 30_530);
    asking = new Asking(orders);
    await answersAre('dns-a');
  });
  afterAll(async () => {
    await asking.stop();
    await lab.down();
  });

  test('105: the endpoint is not ready any more, and would still answer: another takes over', async () => {
    await lab.write('pods.yaml', pods({ 'dns-a': { isReady: false }, 'dns-b': {}, client }));
    await answersAre('dns-b');
  });

  test('109: one that terminates and serves keeps its flows, whoever is new goes to another', async () => {
    await lab.write('pods.yaml', pods({ 'dns-a': {}, 'dns-b': { isTerminating: true }, client }));
    for (const family of families)
      await untilTrue('new flows go to dns-a', async () => (await fresh(family)) === 'dns-a');
    // Longer than a round takes.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await answersAre('dns-b');
  });

  test('105: it serves no more: its flows end', async () => {
    await lab.write('pods.yaml', pods({ 'dns-a': {}, 'dns-b': { isTerminating: true, isReady: false }, client }));
    await answersAre('dns-a');
  });

  test('110: nobody is ready: nobody answers', async () => {
    await lab.write('pods.yaml', pods({ 'dns-a': { isReady: false }, 'dns-b': away, client }));
    await answersAre();
  });

  test('106: one is ready again', async () => {
    await lab.write('pods.yaml', pods({ 'dns-a': {}, 'dns-b': away, client }));
    await answersAre('dns-a');
  });

  test('110: the Service is deleted: nobody answers', async () => {
    await lab.remove('dns.yaml');
    await answersAre();
    expect(ids).toHaveLength(11);
  });

  /** Who answers a flow that is new. */
  async function fresh(family: (typeof families)[number]): Promise<string | undefined> {
    const [result] = await probeAll(lab.state, [
      { from: 'client', to: clusterIps[family], port: 53, protocol: 'UDP', family },
    ]);
    return result?.answer?.pod;
  }

  /** Undefined: nobody answers. */
  async function answersAre(pod = ''): Promise<void> {
    for (const id of ids) {
      await untilTrue(`${id} is answered by ${pod || 'nobody'}`, () => asking.lately(id).join() === pod);
    }
  }
});
