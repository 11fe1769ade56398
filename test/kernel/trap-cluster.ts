/** The cluster that tricks are tried on: pods of one node with every kind of policy, one pod on another node. */
import { vethName } from '../../src/dataplane/names.ts';
import type { IpAddress, IpFamily } from '../../src/lib/ip.ts';
import { familyOf } from '../../src/lib/ip.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import type { Flow, FlowResult } from './probe.ts';
import { probeAll } from './probe.ts';
import { ip } from '../addresses.ts';

export { ip };

/** On node-a, but for `far`. `server` takes `friend` alone, `jailed` and `selfish` nobody and nothing, `mute` sends nothing. */
const pods = ['server', 'friend', 'mallory', 'open', 'jailed', 'mute', 'selfish', 'far'] as const;
const families: readonly IpFamily[] = ['ipv4', 'ipv6'];

export const trapManifests = [
  nodeText('node-a', 0, 11),
  nodeText('node-b', 1, 12),
  ...pods.map((name) => podText(name, name === 'far' ? 'node-b' : 'node-a')),
  podText('host', 'node-a', '  hostNetwork: true\n', 18_080),
  `apiVersion: v1
kind: Service
metadata: { name: selfish }
spec: { selector: { app: selfish }, ports: [{ port: 80 }], ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv4, IPv6] }`,
  policyText('server', 'ingress: [{ from: [{ podSelector: { matchLabels: { app: friend } } }] }]'),
  policyText('jailed', 'policyTypes: [Ingress, Egress]'),
  policyText('selfish', 'policyTypes: [Ingress, Egress]'),
  policyText('mute', 'policyTypes: [Egress]'),
].join('\n---\n');

/** For pods of a label, with the rest of the spec in flow style or as one line. */
export function policyText(name: string, rest: string): string {
  return `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: ${name} }
spec:
  podSelector: { matchLabels: { app: ${name} } }
  ${rest}`;
}

function nodeText(name: string, index: number, host: number): string {
  return `apiVersion: v1
kind: Node
metadata: { name: ${name} }
spec: { podCIDRs: [10.88.${index}.0/24, "fd00:10:88:${index}::/64"] }
status: { addresses: [{ type: InternalIP, address: 172.31.255.${host} }, { type: InternalIP, address: "fd00:172:31:255::${host}" }] }`;
}

function podText(name: string, node: string, more = '', port = 80): string {
  const ports = `[{ containerPort: ${port} }, { containerPort: ${port === 80 ? 53 : port}, protocol: UDP }]`;
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${name} } }
spec:
  nodeName: ${node}
${more}  containers: [{ name: main, image: none, ports: ${ports} }]`;
}

export const gateways: Readonly<Record<IpFamily, IpAddress>> = { ipv4: ip('10.88.0.1'), ipv6: ip('fd00:10:88::1') };
export const unusedAddresses: Readonly<Record<IpFamily, IpAddress>> = {
  ipv4: ip('10.88.0.251'),
  ipv6: ip('fd00:10:88::251'),
};
export const outsideAddresses: Readonly<Record<IpFamily, IpAddress>> = {
  ipv4: ip('172.31.254.2'),
  ipv6: ip('fd00:172:31:254::2'),
};

export function addressOfPod(lab: LabState, pod: string, family: IpFamily): IpAddress {
  const found = lab.pods
    .find(({ key }) => key === `default/${pod}`)
    ?.addresses.find((address) => familyOf(address) === family);
  if (found === undefined) throw new Error(`no ${family} address of pod ${pod}`);
  return found;
}

/** Host side of a pod's veth pair. */
export function vethOf(pod: string): string {
  return vethName('default', pod);
}

/** TCP in both families: `FROM -> TO`, or `FROM -> TO:PORT`. */
export async function verdictsOf(lab: LabState, arrows: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const flows = arrows.flatMap((arrow) => families.map((family) => flowOf(arrow, family)));
  const results = await probeAll(lab, flows);
  return Object.fromEntries(arrows.map((arrow, index) => [arrow, together(results.slice(2 * index, 2 * index + 2))]));
}

/** What `verdictsOf` answers where all of them have one verdict. */
export function all(verdict: 'allowed' | 'denied', arrows: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(arrows.map((arrow) => [arrow, verdict]));
}

function flowOf(arrow: string, family: IpFamily): Flow {
  const [, from, to, port = '80'] = /^(\S+) -> ([^\s:]+)(?::(\d+))?$/.exec(arrow) ?? [];
  if (from === undefined || to === undefined) throw new Error(`not "FROM -> TO:PORT": ${arrow}`);
  return { from, to, port: Number(port), protocol: 'TCP', family };
}

function together(results: readonly FlowResult[]): string {
  const verdicts = new Set(results.map(({ verdict }) => verdict));
  return verdicts.size === 1
    ? [...verdicts].join('')
    : results.map(({ detail }, at) => `${families[at]}: ${detail}`).join(', ');
}
