/** What `explain` says of Services of every kind is what real packets meet: who answers, and as whom it sees the client. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import type { CommandIo } from '../../src/cli/io.ts';
import { loadCluster } from '../../src/cli/cluster.ts';
import { loadModel } from '../../src/cli/model.ts';
import type { ClusterModel } from '../../src/explain/cluster-model.ts';
import type { Investigation } from '../../src/explain/investigate.ts';
import { investigate } from '../../src/explain/investigate.ts';
import { ownerText } from '../../src/explain/outcome-text.ts';
import { parseQuestion } from '../../src/explain/question.ts';
import { runDirectory } from '../../src/lab/run-directory.ts';
import type { TestLab } from './lab-fixture.ts';
import { testLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import type { FlowResult } from './probe.ts';
import { probeAll } from './probe.ts';

/** Of two endpoints one is missed by chance once in sixteen million times. */
const connectionsPerQuestion = 24;

const nodes = [
  ['node1', 'a'],
  ['node2', 'b'],
  ['node3', 'a'],
].map(
  ([name, zone]) => `apiVersion: v1
kind: Node
metadata: { name: ${name}, labels: { topology.kubernetes.io/zone: ${zone} } }
`,
);

function pod(name: string, node: string, app = name, more: { readonly meta?: string; readonly status?: string } = {}) {
  const number = name === 'web-3' ? 8081 : 8080;
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${app} }${more.meta ?? ''} }
spec:
  nodeName: ${node}
  containers:
    - name: c
      ports: [{ name: http, containerPort: ${number} }, { name: dns, containerPort: 5353, protocol: UDP }]
${more.status ?? ''}`;
}

function service(name: string, spec: string, status = ''): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { ${spec} }
${status}`;
}

const balancer = (ip: string, more = '') => `status: { loadBalancer: { ingress: [{ ip: ${ip}${more} }] } }\n`;
const http = (nodePort?: number) =>
  `ports: [{ name: http, port: 80, targetPort: http${nodePort === undefined ? '' : `, nodePort: ${nodePort}`} }]`;
const web = 'selector: { app: web }';

const manifests = [
  ...nodes,
  pod('web-1', 'node1', 'web'),
  pod('web-3', 'node3', 'web'),
  pod('client', 'node2'),
  pod('asleep', 'node1', 'asleep', { status: 'status: { conditions: [{ type: Ready, status: "False" }] }\n' }),
  pod('leaving', 'node1', 'leaving', { meta: ', deletionTimestamp: "2026-01-01T00:00:00Z"' }),
  pod('locked', 'node1'),
  `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: lock }
spec:
  podSelector: { matchLabels: { app: locked } }
  ingress: [{ from: [{ ipBlock: { cidr: 172.31.254.0/24 } }] }]
`,
  service('multi', `${web}, ${http().slice(0, -1)}, { name: dns, port: 53, targetPort: dns, protocol: UDP }]`),
  service('open', `type: NodePort, ${web}, ${http(30_080)}`),
  service(
    'local',
    `type: NodePort, externalTrafficPolicy: Local, internalTrafficPolicy: Local, ${web}, ${http(30_081)}`,
  ),
  service(
    'ranged',
    `type: LoadBalancer, loadBalancerSourceRanges: [172.31.254.0/24], ${web}, ${http(30_082)}`,
    balancer('203.0.113.10'),
  ),
  service(
    'closed',
    `type: LoadBalancer, loadBalancerSourceRanges: [198.51.100.0/24], ${web}, ${http(30_083)}`,
    balancer('203.0.113.11'),
  ),
  service('proxied', `type: LoadBalancer, ${web}, ${http(30_084)}`, balancer('203.0.113.12', ', ipMode: Proxy')),
  service('outer', `externalIPs: [198.51.100.10], ${web}, ${http()}`),
  service('headless', `clusterIP: None, ${web}, ${http()}`),
  service('alias', 'type: ExternalName, externalName: multi.default.svc.cluster.local'),
  service('empty', 'type: NodePort, selector: { app: nobody }, ports: [{ port: 80, nodePort: 30085 }]'),
  service('asleep', `selector: { app: asleep }, ${http()}`),
  service('leaving', `selector: { app: leaving }, ${http()}`),
  service('locked', `type: NodePort, selector: { app: locked }, ${http(30_086)}`),
  service('locked-local', `type: NodePort, externalTrafficPolicy: Local, selector: { app: locked }, ${http(30_087)}`),
  pod('host', 'node3')
    .replace('nodeName', 'hostNetwork: true\n  nodeName')
    .replaceAll('8080', '18080')
    .replace('5353', '15353'),
  service('host', 'type: NodePort, selector: { app: host }, ports: [{ port: 80, targetPort: 18080, nodePort: 30090 }]'),
  service('udp', `type: NodePort, ${web}, ports: [{ port: 53, targetPort: dns, nodePort: 30091, protocol: UDP }]`),
  service(
    'kept',
    `type: LoadBalancer, externalTrafficPolicy: Local, ${web}, ${http(30_092)}`,
    balancer('203.0.113.20'),
  ),
  service(
    'for-nodes',
    `type: LoadBalancer, loadBalancerSourceRanges: [172.31.255.0/24], ${web}, ${http(30_093)}`,
    balancer('203.0.113.21'),
  ),
  // node2's own address.
  service('on-node', `externalIPs: [172.31.255.114], ${web}, ports: [{ name: http, port: 8088, targetPort: http }]`),
  service('published', `publishNotReadyAddresses: true, selector: { app: asleep }, ${http()}`),
  service('contested-a', `externalIPs: [198.51.100.77], ${web}, ${http()}`),
  service('contested-b', `externalIPs: [198.51.100.77], selector: { app: locked }, ${http()}`),
  service('asleep-local', `type: NodePort, externalTrafficPolicy: Local, selector: { app: asleep }, ${http(30_094)}`),
  service('leaving-local', `type: NodePort, externalTrafficPolicy: Local, selector: { app: leaving }, ${http(30_095)}`),
  pod('near-1', 'node1', 'zoned'),
  pod('near-2', 'node2', 'zoned'),
  service('zoned', `type: NodePort, trafficDistribution: PreferClose, selector: { app: zoned }, ${http(30_096)}`),
  service('other', `${web}, ${http()}`).replace(
    'name: other',
    'name: other, labels: { service.kubernetes.io/service-proxy-name: theirs }',
  ),
].join('---\n');

const questions: readonly (readonly [string, string])[] = [
  ['client', 'svc/multi:http'],
  ['client', 'svc/multi:dns'],
  ['client', 'svc/multi:81'],
  ['client', '10.96.255.254:80'],
  ['web-1', 'svc/multi:http'],
  ['node/node1', 'svc/multi:http'],
  ['outside', 'node/node2:30080'],
  ['outside', 'node/node1:30080'],
  ['client', 'node/node1:30080'],
  ['node/node1', '127.0.0.1:30080'],
  ['outside', 'node/node1:30081'],
  ['outside', 'node/node2:30081'],
  ['node/node2', 'node/node2:30081'],
  ['client', 'node/node2:30081'],
  ['client', 'svc/local:80'],
  ['web-1', 'svc/local:80'],
  ['outside', '203.0.113.10:80'],
  ['client', '203.0.113.10:80'],
  ['outside', '203.0.113.11:80'],
  ['node/node3', '203.0.113.11:80'],
  ['outside', 'node/node3:30083'],
  ['outside', '203.0.113.12:80'],
  ['outside', 'node/node1:30084'],
  ['outside', '198.51.100.10:80'],
  ['client', '198.51.100.10:80'],
  ['web-3', '198.51.100.10:80'],
  ['client', 'svc/headless:5353/UDP'],
  ['client', 'svc/alias:80'],
  ['client', 'svc/empty:80'],
  ['outside', 'node/node1:30085'],
  ['client', 'svc/asleep:80'],
  ['client', 'svc/leaving:80'],
  ['client', 'svc/locked:80'],
  ['locked', 'svc/locked:80'],
  ['outside', 'node/node2:30086'],
  ['outside', 'node/node1:30087'],
  ['client', 'svc/other:80'],
  ['client', 'svc/host:80'],
  ['host', 'svc/host:80'],
  ['host', 'svc/multi:80'],
  ['outside', 'node/node1:30090'],
  ['outside', 'node/node3:30090'],
  ['outside', 'node/node2:30091/UDP'],
  ['node/node1', '127.0.0.1:30091/UDP'],
  ['outside', '203.0.113.20:80'],
  ['client', '203.0.113.20:80'],
  ['web-3', '203.0.113.20:80'],
  ['node/node2', '203.0.113.20:80'],
  ['node/node1', '203.0.113.21:80'],
  ['outside', '203.0.113.21:80'],
  ['client', '203.0.113.21:80'],
  ['outside', '172.31.255.114:8088'],
  ['client', '172.31.255.114:8088'],
  ['web-1', '172.31.255.114:8088'],
  ['node/node2', '172.31.255.114:8088'],
  ['client', 'svc/published:80'],
  ['outside', '198.51.100.77:80'],
  ['outside', 'node/node1:30094'],
  ['outside', 'node/node2:30094'],
  ['outside', 'node/node1:30095'],
  ['outside', 'node/node2:30095'],
  ['client', 'svc/zoned:80'],
  ['web-3', 'svc/zoned:80'],
  ['outside', 'node/node2:30096'],
  ['outside', 'node/node3:30096'],
  ['web-1', '10.88.27.1:30080'],
  ['client', '10.88.27.1:30080'],
];

/** Where nodePorts answer at the Node's own address alone. */
const narrowQuestions: readonly (readonly [string, string])[] = [
  ['outside', 'node/node1:30080'],
  ['outside', 'node/node2:30080'],
  ['node/node1', 'node/node1:30080'],
  ['node/node1', '127.0.0.1:30080'],
  ['web-1', '10.88.27.1:30080'],
  ['outside', 'node/node1:30081'],
];

describeKernel('explain and real packets, Services of every kind', () => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-explain-'));
  let lab: TestLab | undefined;
  afterEach(() => lab?.down());
  afterAll(() => rmSync(directory, { recursive: true }));

  test('from the manifests alone', async () => {
    writeFileSync(join(directory, 'cluster.yaml'), manifests);
    lab = await testLab({ 'cluster.yaml': manifests });
    const model = await loadModel(await loadCluster({ manifests: directory }, noIo));
    expect(await differences(lab, model, questions)).toEqual([]);
  }, 60_000);

  test('from an agent, with its settings', async () => {
    lab = await testLab({ 'cluster.yaml': manifests }, { agentArguments: ['--node-port-addresses', 'primary'] });
    const runDir = runDirectory(lab.name).agent('node1');
    const model = await loadModel(await loadCluster({ runDir }, noIo));
    expect(await differences(lab, model, narrowQuestions)).toEqual([]);
  }, 60_000);
});

/** One line for each question whose packets met something else than was explained. */
async function differences(
  lab: TestLab,
  model: ClusterModel,
  asked: readonly (readonly [string, string])[],
): Promise<readonly string[]> {
  const answers = asked.map(([from, to]) => ({ from, to, said: ask(model, from, to) }));
  const sent = answers.flatMap((one) => {
    const targets = new Map(one.said.branches.map(({ connection }) => [connection.to, connection]));
    const each = one.said.verdict === 'allowed' ? Math.ceil(connectionsPerQuestion / targets.size) : 1;
    return [...targets.values()].flatMap(({ to, port, protocol }) =>
      Array.from({ length: each }, () => ({ one, packet: { from: one.from, to, port, protocol } })),
    );
  });
  const results = await probeAll(
    lab.state,
    sent.map(({ packet }) => packet),
  );
  return answers.flatMap((one) => {
    const met = sent.flatMap((packet, index) => (packet.one === one ? [answerText(results[index])] : []));
    const said = one.said.branches.map((branch) => saidText(model, branch));
    const [packets, explained] = [met, said].map((all) => [...new Set(all)].toSorted().join(', '));
    const isSame = packets !== '' && packets === explained;
    return isSame ? [] : [`${one.from} -> ${one.to}: packets ${packets}; explained ${explained}`];
  });
}

const noIo: CommandIo = {
  environment: {},
  colour: false,
  takeInterrupts: () => new AbortController().signal,
  interruptedBy: undefined,
  out: () => undefined,
  error: () => undefined,
  exitCode: 0,
  passedExitCode: undefined,
};

function ask(model: ClusterModel, from: string, to: string): Investigation {
  const question = parseQuestion(from, to, { state: model.state });
  if (!question.ok) throw new Error(question.message);
  return investigate(model, question.value);
}

/** `default/web-1:8080 as 10.88.114.2` */
function saidText(model: ClusterModel, { verdict, journey }: Investigation['branches'][number]): string {
  if (verdict === 'denied') return 'denied';
  const { destination, destinationPort, source } = journey.outcome.packet;
  // The one pod with hostNetwork answers for its node.
  const name = ownerText(model, destination).replace('node/node3', 'default/host');
  return `${name}:${destinationPort} as ${source}`;
}

function answerText(result: FlowResult | undefined): string {
  if (result?.verdict !== 'allowed') return 'denied';
  const { answer } = result;
  return `${answer?.namespace}/${answer?.pod}:${answer?.port} as ${answer?.client}`;
}
