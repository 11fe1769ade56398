/**
 * The table of kube-proxy.md 1.11 (and scenarios around it) as real connections: three nodes, both families, both variants
 * of iptables, every configuration of masquerade. The server says who it is and as whom it saw the client.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../src/backends/exec.ts';
import { underlayNamespace } from '../../src/lab/names.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import { familyOf } from '../../src/lib/ip.ts';
import type { Client, Configuration, Frontend, Policy } from '../service/truth-table.ts';
import { expectedOf, rows } from '../service/truth-table.ts';
import type { TestLab } from './lab-fixture.ts';
import { testLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import type { Flow, FlowResult } from './probe.ts';
import { probeAll } from './probe.ts';
import { addressesInside, labObjects } from './service-flows.ts';

const families: readonly IpFamily[] = ['ipv4', 'ipv6'];
/** Of two endpoints one is missed by chance once in eight million rows. */
const connectionsPerRow = 24;

const configurations: readonly (readonly [string, Configuration, readonly string[]])[] = [
  ['base', { hasDetector: true, masqueradeAll: false }, ['--local-traffic-detector', 'clusterCidr']],
  ['local pods by their set', { hasDetector: true, masqueradeAll: false }, []],
  ['no detector', { hasDetector: false, masqueradeAll: false }, ['--local-traffic-detector', 'none']],
  ['masqueradeAll', { hasDetector: true, masqueradeAll: true }, ['--masquerade-all']],
  [
    'masqueradeAll, no detector',
    { hasDetector: false, masqueradeAll: true },
    ['--masquerade-all', '--local-traffic-detector', 'none'],
  ],
];

/** Of the Services: in their addresses and nodePorts. */
const numbers: Readonly<Record<string, number>> = { cluster: 1, local: 2, void: 3, ranged: 4 };

/** `web` has an endpoint on node1 and one on node2; `void` has none. */
const manifests = `
${['node1', 'node2', 'node3'].map((name) => `apiVersion: v1\nkind: Node\nmetadata: { name: ${name} }\n`).join('---\n')}
---
${[
  ['web-a', 'node1', 'web'],
  ['web-b', 'node2', 'web'],
  ['client', 'node1', 'client'],
  ['far-client', 'node3', 'client'],
]
  .map(
    ([name, node, app]) => `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${app} } }
spec: { nodeName: ${node}, containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }] }] }
`,
  )
  .join('---\n')}
---
${(['Cluster', 'Local'] as const).map((policy) => serviceText(policy.toLowerCase(), 'web', policy)).join('---\n')}
---
${serviceText('void', 'nobody', 'Cluster')}
---
${serviceText('ranged', 'web', 'Cluster', '  loadBalancerSourceRanges: [172.31.255.0/24, "fd00:172:31:255::/64"]\n')}
`;

function serviceText(name: string, app: string, policy: Policy, more = ''): string {
  const number = numbers[name] ?? 0;
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  selector: { app: ${app} }
  ports: [{ port: 80, targetPort: 8080, nodePort: ${31_000 + number} }]
  externalTrafficPolicy: ${policy}
  internalTrafficPolicy: ${policy}
${policy === 'Local' ? '  healthCheckNodePort: 32002\n' : ''}${more}  externalIPs: [198.51.100.${number}, "2001:db8:1::${number}"]
status: { loadBalancer: { ingress: [{ ip: 203.0.113.${number} }, { ip: "2001:db8::${number}" }] } }
`;
}

for (const iptables of ['nft', 'legacy'] as const) {
  describeKernel(`Services by real connections, ${iptables}`, () => {
    describe.each(configurations)('%s', (name, configuration, agentArguments) => {
      let bench: MatrixLab;
      beforeAll(async () => {
        bench = await MatrixLab.up(iptables, agentArguments);
      });
      afterAll(() => bench.lab.down());

      test('68: who is reached, and whom the endpoint sees', async () => {
        const asked = families.flatMap((family) =>
          rows.map((row) => ({ ...row, service: row.policy.toLowerCase(), family, node: 'node1' })),
        );
        const answers = await bench.ask(asked, connectionsPerRow);
        const found = asked.map((row, index) => `${nameOf(row)}: ${bench.told(row, answers[index] ?? [])}`);
        const wanted = asked.map((row) => {
          const { reaches, masquerade } = expectedOf(row, configuration);
          // Answers of another node do not come back through the one that translated, unless that one hid the client.
          const isLost = row.from === 'outside' && reaches === 'all' && !masquerade;
          const seenAs = masquerade || row.from === 'node' ? 'node1' : 'itself';
          const all = reaches === 'all' ? `web-a, web-b as ${seenAs}` : `web-a as ${seenAs}`;
          return `${nameOf(row)}: ${isLost ? `timeout; web-a as ${seenAs}` : all}`;
        });
        expect(found).toEqual(wanted);
      });

      if (name === 'base') sideTests(() => bench);
    });
  });
}

/** What the table does not say. */
function sideTests(bench: () => MatrixLab): void {
  test('nothing local, policy Local: dropped from outside, served within', async () => {
    expect(
      await bench().tell([
        ['56', 'outside', 'nodePort', 'local', 'node3'],
        ['62', 'pod', 'clusterIp', 'local', 'node3'],
        ['62', 'node', 'clusterIp', 'local', 'node3'],
        ['59', 'pod', 'loadBalancer', 'local', 'node3'],
        ['59', 'node', 'nodePort', 'local', 'node3'],
        ['27', 'outside', 'nodePort', 'cluster', 'node3'],
      ]),
    ).toEqual(
      twice([
        '56: outside -> nodePort: timeout',
        '62: pod -> clusterIp: timeout',
        '62: node -> clusterIp: timeout',
        '59: pod -> loadBalancer: web-a, web-b as itself',
        '59: node -> nodePort: web-a, web-b as node3',
        '27: outside -> nodePort: web-a, web-b as node3',
      ]),
    );
  });

  test('no endpoints: refused at once', async () => {
    // The kernel sends one client few ICMP errors a second: one connection each.
    expect(
      await bench().tell(
        [
          ['3', 'pod', 'clusterIp', 'void', 'node1'],
          ['3', 'node', 'clusterIp', 'void', 'node1'],
          ['34', 'outside', 'nodePort', 'void', 'node1'],
          ['34', 'pod', 'nodePort', 'void', 'node1'],
          ['49', 'outside', 'loadBalancer', 'void', 'node1'],
          ['49', 'pod', 'loadBalancer', 'void', 'node1'],
          ['49', 'outside', 'externalIp', 'void', 'node1'],
        ],
        1,
      ),
    ).toEqual(
      twice([
        '3: pod -> clusterIp: refused',
        '3: node -> clusterIp: refused',
        '34: outside -> nodePort: refused',
        '34: pod -> nodePort: refused',
        '49: outside -> loadBalancer: refused',
        '49: pod -> loadBalancer: refused',
        '49: outside -> externalIp: refused',
      ]),
    );
  });

  test('source ranges: the nodes may, a pod and a client outside may not; nodePorts have none', async () => {
    expect(
      await bench().tell([
        ['45', 'node', 'loadBalancer', 'ranged', 'node1'],
        ['44', 'pod', 'loadBalancer', 'ranged', 'node1'],
        ['44', 'outside', 'loadBalancer', 'ranged', 'node1'],
        ['38', 'outside', 'nodePort', 'ranged', 'node1'],
        ['38', 'pod', 'clusterIp', 'ranged', 'node1'],
      ]),
    ).toEqual(
      twice([
        '45: node -> loadBalancer: web-a, web-b as node1',
        '44: pod -> loadBalancer: timeout',
        '44: outside -> loadBalancer: timeout',
        '38: outside -> nodePort: web-a, web-b as node1',
        '38: pod -> clusterIp: web-a, web-b as itself',
      ]),
    );
  });

  test('30, 32: the nodePort on localhost', async () => {
    const asked = ['127.0.0.1', '::1'].map((to) => ({
      from: 'node/node1',
      to,
      port: 31_001,
      protocol: 'TCP' as const,
    }));
    const [ipv4, ipv6] = await probeAll(bench().lab.state, asked);
    expect([ipv4?.verdict, ipv6?.detail]).toEqual(['allowed', 'refused']);
  });
}

/** In both families. */
function twice(lines: readonly string[]): readonly string[] {
  return [...lines, ...lines];
}

interface Asked {
  readonly from: Client;
  readonly frontend: Frontend;
  readonly service: string;
  readonly family: IpFamily;
  /** Where the client is, and whose nodePort it asks for. */
  readonly node: string;
}

function nameOf({ from, frontend, service, family }: Asked): string {
  return `${family} ${from} -> ${frontend} of ${service}`;
}

class MatrixLab {
  readonly lab: TestLab;
  readonly #clusterIps: ReadonlyMap<string, readonly string[]>;
  readonly #nodes: ReadonlyMap<string, readonly string[]>;

  private constructor(
    lab: TestLab,
    clusterIps: ReadonlyMap<string, readonly string[]>,
    nodes: ReadonlyMap<string, readonly string[]>,
  ) {
    this.lab = lab;
    this.#clusterIps = clusterIps;
    this.#nodes = nodes;
  }

  static async up(iptables: 'nft' | 'legacy', agentArguments: readonly string[]): Promise<MatrixLab> {
    const lab = await testLab({ 'cluster.yaml': manifests }, { iptables, agentArguments, ipFamilies: families });
    await lab.untilProgrammed('Service', 4);
    const { services } = await labObjects(lab.state);
    const own = lab.state.nodes.map(async ({ name, netns }) => [name, await addressesInside(netns)] as const);
    await routeClusterIps(lab.state);
    const clusterIps = new Map([...services.values()].map((service) => [service.name, service.clusterIps]));
    return new MatrixLab(lab, clusterIps, new Map(await Promise.all(own)));
  }

  /** The results of each row. */
  async ask(asked: readonly Asked[], times: number): Promise<readonly (readonly FlowResult[])[]> {
    const flows = asked.flatMap((row) => Array.from({ length: times }, () => this.#flowOf(row)));
    const results = await probeAll(this.lab.state, flows);
    return asked.map((_row, index) => results.slice(index * times, (index + 1) * times));
  }

  /** Number, client, frontend, Service and node; the answers in words, IPv4 before IPv6. */
  async tell(
    probes: readonly (readonly [number: string, Client, Frontend, service: string, node: string])[],
    times = connectionsPerRow,
  ): Promise<readonly string[]> {
    const asked = families.flatMap((family) =>
      probes.map(([number, from, frontend, service, node]) => ({ number, from, frontend, service, node, family })),
    );
    const answers = await this.ask(asked, times);
    return asked.map(
      (row, index) => `${row.number}: ${row.from} -> ${row.frontend}: ${this.told(row, answers[index] ?? [])}`,
    );
  }

  /** `timeout; web-a, web-b as node1`: who answered and as whom it saw the client. */
  told(row: Asked, results: readonly FlowResult[]): string {
    const refusals = results.filter(({ verdict }) => verdict === 'denied').map(({ detail }) => detail);
    const answers = results.flatMap(({ answer }) => answer ?? []);
    const pods = sorted(answers.map(({ pod }) => pod)).join(', ');
    const seen = sorted(answers.map(({ client }) => this.#nameOfClient(row, client))).join(' and ');
    return [...sorted(refusals), ...(answers.length === 0 ? [] : [`${pods} as ${seen}`])].join('; ');
  }

  #nameOfClient({ from, node, family }: Asked, client: string): string {
    if (this.#nodes.get(node)?.includes(client) === true) return node;
    const own = from === 'outside' ? this.lab.state.outside?.addresses : this.#podOn(node).addresses;
    return own?.find((address) => familyOf(address) === family) === client ? 'itself' : client;
  }

  #flowOf(row: Asked): Flow {
    const { from, frontend, service, node, family } = row;
    const client = { pod: this.#podOn(node).key, node: `node/${node}`, outside: 'outside' }[from];
    const port = frontend === 'nodePort' ? 31_000 + (numbers[service] ?? 0) : 80;
    return { from: client, to: this.#addressOf(frontend, row), port, protocol: 'TCP', family };
  }

  #addressOf(frontend: Frontend, { service, node, family }: Asked): string {
    const number = numbers[service] ?? 0;
    switch (frontend) {
      case 'clusterIp':
        return this.#clusterIps.get(service)?.find((address) => address.includes(':') === (family === 'ipv6')) ?? '';
      case 'nodePort':
        return `node/${node}`;
      case 'loadBalancer':
        return family === 'ipv4' ? `203.0.113.${number}` : `2001:db8::${number}`;
      default:
        return family === 'ipv4' ? `198.51.100.${number}` : `2001:db8:1::${number}`;
    }
  }

  #podOn(node: string) {
    const found = this.lab.state.pods.find((pod) => pod.node === node && pod.key.endsWith('client'));
    if (found === undefined) throw new Error(`no client on ${node}`);
    return found;
  }
}

/** A client outside knows no way to ClusterIPs, unless somebody's router does: here by node1. */
async function routeClusterIps({ name, nodes }: LabState): Promise<void> {
  const addresses = nodes.find((node) => node.name === 'node1')?.addresses ?? [];
  for (const address of addresses) {
    const cidr = familyOf(address) === 'ipv4' ? '10.96.0.0/16' : 'fd00:10:96::/112';
    await run(['ip', '-n', underlayNamespace(name), 'route', 'replace', cidr, 'via', address, 'dev', 'br0']);
  }
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].toSorted();
}
