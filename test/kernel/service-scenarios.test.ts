/** Scenarios of kube-proxy.md 4 that need a whole lab: odd backends and clients, affinity, a rolling update. By number. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/backends/exec.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { Asking } from './asking.ts';
import type { TestLab } from './lab-fixture.ts';
import { agentReport, testLab, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import type { Flow } from './probe.ts';
import { probeAll } from './probe.ts';
import { addressesInside, labObjects } from './service-flows.ts';

const nodes = ['node1', 'node2', 'node3']
  .map((name) => `apiVersion: v1\nkind: Node\nmetadata: { name: ${name} }\n`)
  .join('---\n');

function pod(
  name: string,
  node: string,
  more: { readonly app?: string; readonly spec?: string; readonly status?: string } = {},
) {
  const { app = name, spec = '', status = '' } = more;
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${app} } }
spec: { nodeName: ${node}, ${spec}containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }, { containerPort: 53, protocol: UDP }] }] }
${status}`;
}

function service(name: string, clusterIp: string, spec: string): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { clusterIP: ${clusterIp}, ${spec} }
`;
}

const web =
  'selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }, { name: dns, port: 53, protocol: UDP }]';

const objects = [
  ...['web-1', 'web-2', 'web-3'].map((name, index) => pod(name, `node${index + 1}`, { app: 'web' })),
  pod('client', 'node1'),
  pod('other', 'node2'),
  pod('host-client', 'node3', { spec: 'hostNetwork: true, ' }).replaceAll('8080', '18081').replaceAll('53,', '10053,'),
  pod('host-server', 'node2', { spec: 'hostNetwork: true, ' }).replaceAll('8080', '18080').replaceAll('53,', '10054,'),
  pod('evicted', 'node2', { status: 'status: { phase: Failed, reason: Evicted }\n' }),
  service('web', '10.96.0.10', web),
  service('evicted', '10.96.0.11', 'selector: { app: evicted }, ports: [{ port: 80, targetPort: 8080 }]'),
  service('host', '10.96.0.12', 'selector: { app: host-server }, ports: [{ port: 80, targetPort: 18080 }]'),
  // Of another range than the rest.
  service('elsewhere', '10.97.7.7', web),
  service('by-hand', '10.96.0.13', 'ports: [{ port: 80 }]'),
  ...[
    ['by-hand-1', 'web-1'],
    ['by-hand-2', 'web-2'],
  ].map(
    ([name, endpoint]) => `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, labels: { kubernetes.io/service-name: by-hand } }
addressType: IPv4
ports: [{ port: 8080 }]
endpoints: [{ addresses: [10.88.9.${endpoint === 'web-1' ? 1 : 2}] }]
`,
  ),
].join('---\n');

/** The hand-made slices name addresses: these pods have them. */
const placed = objects
  .replace(/(name: web-1.*\n.*\n)/, '$1status: { podIP: 10.88.9.1 }\n')
  .replace(/(name: web-2.*\n.*\n)/, '$1status: { podIP: 10.88.9.2 }\n');

const everywhere = ['web-1', 'web-2', 'web-3'];

describeKernel('scenarios of Services', () => {
  let lab: TestLab;
  beforeAll(async () => {
    lab = await testLab({ 'nodes.yaml': nodes, 'cluster.yaml': placed });
    expect(lab.state.messages).toEqual([]);
    await lab.untilProgrammed('Service', 5);
  });
  afterAll(() => lab.down());

  /** Names of the pods that answered, and as whom they saw the client. */
  async function ask(from: string, to: string, more: Partial<Flow> & { readonly times?: number } = {}) {
    const { times = 30, ...flow } = more;
    const asked = { from, to, port: 80, protocol: 'TCP', ...flow } as const;
    const results = await probeAll(
      lab.state,
      Array.from({ length: times }, () => asked),
    );
    return {
      pods: distinct(results.map(({ answer, detail }) => answer?.pod ?? detail)),
      clients: distinct(results.flatMap(({ answer }) => answer?.client ?? [])),
    };
  }

  function addressOf(name: string): string {
    const machine = name.startsWith('node')
      ? lab.state.nodes.find((node) => node.name === name)
      : lab.state.pods.find(({ key }) => key === `default/${name}`);
    return machine?.addresses[0] ?? '';
  }

  test('4: the only backend was evicted: refused', async () => {
    expect((await ask('client', '10.96.0.11', { times: 1 })).pods).toEqual(['refused']);
  });

  test('12, 14: every ready endpoint gets connections, and sees the pod that asks', async () => {
    expect(await ask('client', '10.96.0.10')).toEqual({ pods: everywhere, clients: [addressOf('client')] });
  });

  test('128: between pods nothing is translated', async () => {
    const answer = await ask('client', addressOf('web-3'), { port: 8080, times: 1 });
    expect(answer).toEqual({ pods: ['web-3'], clients: [addressOf('client')] });
  });

  test('15, 91, 104: slices written by hand', async () => {
    expect((await ask('client', '10.96.0.13')).pods).toEqual(['web-1', 'web-2']);
  });

  test('126: a Service of another range', async () => {
    expect((await ask('client', '10.97.7.7')).pods).toEqual(everywhere);
  });

  test('22: a backend on the host network, from its own node too', async () => {
    for (const from of ['client', 'other', 'node/node2'])
      expect((await ask(from, '10.96.0.12', { times: 3 })).pods).toEqual(['host-server']);
  });

  test('23: a client on the host network', async () => {
    const own = await addressesInside(namespaceOf(lab.state, 'node/node3'));
    for (const from of ['host-client', 'node/node3']) {
      const { pods, clients } = await ask(from, '10.96.0.10');
      expect(pods).toEqual(everywhere);
      expect(clients.filter((client) => !own.includes(client))).toEqual([]);
    }
  });

  test('24: default/kubernetes: no selector, a slice with a node’s address, another port and a name', async () => {
    await lab.write('kubernetes.yaml', kubernetes(addressOf('host-server')));
    await lab.untilProgrammed('Service', 6);
    for (const from of ['client', 'other', 'host-client', 'node/node1', 'node/node2'])
      expect((await ask(from, '10.96.0.1', { port: 443, times: 3 })).pods).toEqual(['host-server']);
    await lab.remove('kubernetes.yaml');
    await lab.untilProgrammed('Service', 5);
  });

  test('25: UDP through the ClusterIP', async () => {
    expect((await ask('client', '10.96.0.10', { port: 53, protocol: 'UDP' })).pods).toEqual(everywhere);
  });

  test('39: the node’s FORWARD policy is DROP: nodePorts go on', async () => {
    await lab.write(
      'nodeport.yaml',
      service(
        'outer',
        '10.96.0.20',
        `type: NodePort, ${web.replace('targetPort: 8080', 'targetPort: 8080, nodePort: 30800')}`,
      ),
    );
    await lab.untilProgrammed('Service', 6);
    for (const { netns } of lab.state.nodes)
      await run(['ip', 'netns', 'exec', netns, 'iptables-nft', '-P', 'FORWARD', 'DROP']);
    expect((await ask('outside', 'node/node2', { port: 30_800 })).pods).toEqual(everywhere);
    for (const { netns } of lab.state.nodes)
      await run(['ip', 'netns', 'exec', netns, 'iptables-nft', '-P', 'FORWARD', 'ACCEPT']);
  });

  test('123: half-closed connections are kept for an hour', async () => {
    const netns = namespaceOf(lab.state, 'node/node1');
    const file = '/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait';
    expect((await run(['ip', 'netns', 'exec', netns, 'cat', file])).stdout.trim()).toBe('3600');
  });

  test('83, 84: affinity: one client, one pod, by every protocol and frontend', async () => {
    await lab.write('sticky.yaml', sticky('ClientIP', 10_800));
    await lab.untilProgrammed('Service', 7);
    const clients = ['client', 'other', 'node/node1', 'outside'];
    const frontends = [
      { to: 'node/node3', port: 30_900 },
      { to: '203.0.113.30', port: 80 },
    ];
    for (const from of clients) {
      const inner = from === 'outside' ? [] : [{ to: '10.96.0.30', port: 80 }];
      for (const { to, port } of [...inner, ...frontends]) {
        const { pods } = await ask(from, to, { port });
        expect([from, to, pods]).toEqual([from, to, [expect.stringMatching(/^web-[123]$/)]]);
      }
    }
    const { pods } = await ask('client', '10.96.0.30', { port: 53, protocol: 'UDP' });
    expect(pods).toHaveLength(1);
  });

  test('85: affinity off, and on again', async () => {
    await lab.write('sticky.yaml', sticky('None'));
    await untilTrue('every endpoint answers', async () => (await ask('client', '10.96.0.30')).pods.length === 3);
    expect((await ask('outside', 'node/node3', { port: 30_900 })).pods).toEqual(everywhere);
    await lab.write('sticky.yaml', sticky('ClientIP', 10_800));
    await untilTrue('one endpoint answers', async () => (await ask('client', '10.96.0.30')).pods.length === 1);
    expect((await ask('outside', 'node/node3', { port: 30_900 })).pods).toHaveLength(1);
  });

  test('86: after the timeout another pod may answer', async () => {
    await lab.write('sticky.yaml', sticky('ClientIP', 1));
    const seen = new Set<string>();
    await untilTrue('another pod answers', async () => {
      await new Promise((resolve) => setTimeout(resolve, 1200));
      for (const answer of (await ask('client', '10.96.0.30', { times: 1 })).pods) seen.add(answer);
      return seen.size > 1;
    });
    expect((await ask('client', '10.96.0.30')).pods).toHaveLength(1);
  });

  test('54: a rolling update: no request fails, inside or outside, with either traffic policy', async () => {
    const services = (await labObjects(lab.state)).services.size;
    await lab.write('rolling.yaml', rolling('rolling-1'));
    await lab.untilProgrammed('Service', services + 2);
    await untilOpen('rolling-1');
    const node = addressOf('node1');
    const asking = new Asking(
      {
        [namespaceOf(lab.state, 'client')]: [{ id: 'pod', address: '10.96.0.40', port: 80 }],
        [namespaceOf(lab.state, 'outside')]: [
          { id: 'cluster', address: node, port: 30_400 },
          { id: 'local', address: node, port: 30_401 },
        ],
      },
      'tcp',
    );
    const ids = ['pod', 'cluster', 'local'];
    try {
      for (const [before, after] of [
        ['rolling-1', 'rolling-2'],
        ['rolling-2', 'rolling-3'],
      ] as const) {
        await answeredBy(before);
        // A pod is ready some time after it is there. Until its node has programmed it, it is closed (podStart).
        await lab.write(
          'rolling.yaml',
          rolling(before).concat('---\n', pod(after, 'node1', { app: 'rolling', status: notReady })),
        );
        await untilOpen(after);
        await lab.write('rolling.yaml', rolling(before, after));
        await answeredBy(after);
        // In a cluster a pod that must go is terminating first: out of the endpoints, its server answers on for a grace period. The
        // lab ends the server of a pod that is taken out of the manifests at once, before any agent knows; so it loses its label first.
        await lab.write('rolling.yaml', rolling(after).concat('---\n', pod(before, 'node1', { app: 'old' })));
        await untilTrue(`${before} gets nothing`, () => ids.every((id) => asking.lately(id).join() === after));
        await lab.write('rolling.yaml', rolling(after));
      }
      expect(asking.failures).toEqual([]);
      for (const id of ids) expect(asking.count(id)).toBeGreaterThan(20);
    } finally {
      await asking.stop();
    }

    function untilOpen(name: string): Promise<void> {
      return untilTrue(`${name} is programmed`, async () => {
        const { endpoints } = (await agentReport(lab.state, 'node1')).endpoints;
        return endpoints.some(({ pod: key, programmed }) => key === `default/${name}` && programmed);
      });
    }

    function answeredBy(name: string): Promise<void> {
      return untilTrue(`${name} answers`, () => ids.every((id) => asking.lately(id).includes(name)));
    }
  });
});

/** As an API server writes it for itself. */
function kubernetes(address: string): string {
  return `${service('kubernetes', '10.96.0.1', 'ports: [{ name: https, port: 443, targetPort: 18080 }]')}---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: kubernetes, labels: { kubernetes.io/service-name: kubernetes } }
addressType: IPv4
ports: [{ name: https, port: 18080, protocol: TCP }]
endpoints: [{ addresses: [${address}], conditions: { ready: true } }]
`;
}

function sticky(affinity: 'None' | 'ClientIP', seconds?: number): string {
  const config = seconds === undefined ? '' : `, sessionAffinityConfig: { clientIP: { timeoutSeconds: ${seconds} } }`;
  const ports = web.replace('targetPort: 8080', 'targetPort: 8080, nodePort: 30900');
  const spec = `type: LoadBalancer, sessionAffinity: ${affinity}${config}, ${ports}`;
  return `${service('sticky', '10.96.0.30', spec)}status: { loadBalancer: { ingress: [{ ip: 203.0.113.30 }] } }\n`;
}

/** All on node1, where policy Local needs them. */
function rolling(...pods: readonly string[]): string {
  const ports = (nodePort: number) =>
    `selector: { app: rolling }, ports: [{ port: 80, targetPort: 8080, nodePort: ${nodePort} }]`;
  return [
    ...pods.map((name) => pod(name, 'node1', { app: 'rolling' })),
    service('rolling', '10.96.0.40', `type: NodePort, ${ports(30_400)}`),
    service('rolling-local', '10.96.0.41', `type: NodePort, externalTrafficPolicy: Local, ${ports(30_401)}`),
  ].join('---\n');
}

const notReady = 'status: { conditions: [{ type: Ready, status: "False" }] }\n';

function distinct(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].toSorted();
}
