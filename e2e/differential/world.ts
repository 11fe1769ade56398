/** One copy of the small world, of network namespaces: the node under test, its pods, a router that stands for the rest of the cluster, and a client outside. */
import { run } from '../../src/backends/exec.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import type { Estate } from '../cluster/estate.ts';
import type { ClientKind } from './probes.ts';
import type { Addresses, Machine } from './topology.ts';
import {
  clientPod,
  families,
  gateway,
  localPods,
  nodeAddresses,
  outsideAddresses,
  outsideGateways,
  podCidrs,
  remotePods,
  routerAddresses,
  serviceRoutes,
} from './topology.ts';

/** How pods hang on their node: each by a route of its own, or all on a bridge. */
export type PodWiring = 'ptp' | 'bridge';

export const podInterfacePrefix = 'pod-';
export const bridgeName = 'cni0';
export const uplinkName = 'eth0';

export function podInterface(name: string): string {
  return `${podInterfacePrefix}${name}`;
}

const remoteGateway: Addresses = { ipv4: '10.244.2.1', ipv6: 'fd00:10:244:2::1' };
const farthest: Addresses = { ipv4: '0.0.0.0/0', ipv6: '::/0' };
const bits: Readonly<Record<IpFamily, number>> = { ipv4: 32, ipv6: 128 };
const linkBits: Readonly<Record<IpFamily, number>> = { ipv4: 24, ipv6: 64 };

export class World {
  readonly node: string;
  readonly #estate: Estate;
  readonly #prefix: string;

  private constructor(estate: Estate, prefix: string) {
    this.#estate = estate;
    this.#prefix = prefix;
    this.node = `${prefix}-node`;
  }

  /** `prefix` begins the names of its namespaces; they go with the estate. */
  static async up(estate: Estate, prefix: string, wiring: PodWiring): Promise<World> {
    const world = new World(estate, prefix);
    await world.#build(wiring);
    return world;
  }

  /** The namespace of a pod, or of a client of a probe. */
  netnsOf(name: string): string {
    return `${this.#prefix}-${name}`;
  }

  netnsOfClient(from: ClientKind): string {
    const names: Readonly<Record<ClientKind, string>> = {
      client: clientPod.name,
      server: localPods[0]?.name ?? '',
      remote: remotePods[0]?.name ?? '',
      node: 'node',
      outside: 'outside',
      far: 'outside',
    };
    return this.netnsOf(names[from]);
  }

  async #build(wiring: PodWiring): Promise<void> {
    const pods = [...localPods, clientPod, ...remotePods];
    for (const name of ['node', 'router', 'outside', ...pods.map((pod) => pod.name)]) await this.#make(name);
    await this.#batch('router', this.#routerLines());
    await this.#batch('node', this.#nodeLines(wiring));
    await this.#batch('outside', outsideLines());
    for (const pod of [...localPods, clientPod]) await this.#batch(pod.name, podLines(pod, wiring, gateway));
    for (const pod of remotePods) await this.#batch(pod.name, podLines(pod, 'ptp', remoteGateway));
    for (const name of ['node', 'router']) await this.#sysctls(name, routing);
  }

  async #make(name: string): Promise<void> {
    const netns = this.netnsOf(name);
    this.#estate.record({ kind: 'netns', name: netns });
    await run(['ip', 'netns', 'add', netns]);
    await this.#sysctls(name, plain);
  }

  async #batch(name: string, lines: readonly string[]): Promise<void> {
    await run(['ip', '-n', this.netnsOf(name), '-batch', '-'], { input: `${lines.join('\n')}\n` });
  }

  async #sysctls(name: string, settings: readonly string[]): Promise<void> {
    await run(['ip', 'netns', 'exec', this.netnsOf(name), 'sysctl', '-qw', ...settings]);
  }

  #routerLines(): readonly string[] {
    return [
      'link set lo up',
      `link add node type veth peer name ${uplinkName} netns ${this.node}`,
      ...linkUp('node'),
      ...addressLines('node', routerAddresses, linkBits),
      `link add outside type veth peer name ${uplinkName} netns ${this.netnsOf('outside')}`,
      ...linkUp('outside'),
      ...addressLines('outside', outsideGateways, linkBits),
      ...families.map((family) => `route add ${podCidrs[family]} via ${nodeAddresses[family]}`),
      ...serviceRoutes.map((cidr) => `route add ${cidr} via ${nodeAddresses[cidr.includes(':') ? 'ipv6' : 'ipv4']}`),
      ...remotePods.flatMap((pod) => this.#podLinkLines(pod, remoteGateway)),
    ];
  }

  #nodeLines(wiring: PodWiring): readonly string[] {
    return [
      'link set lo up',
      ...linkUp(uplinkName),
      ...addressLines(uplinkName, nodeAddresses, linkBits),
      ...families.map((family) => `route add ${farthest[family]} via ${routerAddresses[family]}`),
      ...(wiring === 'ptp'
        ? [...localPods, clientPod].flatMap((pod) => this.#podLinkLines(pod, gateway))
        : this.#bridgeLines()),
    ];
  }

  #podLinkLines(pod: Machine, towards: Addresses): readonly string[] {
    const device = podInterface(pod.name);
    return [
      `link add ${device} type veth peer name eth0 netns ${this.netnsOf(pod.name)}`,
      ...linkUp(device),
      ...addressLines(device, towards, bits),
      ...families.map((family) => `route add ${pod.addresses[family]}/${bits[family]} dev ${device}`),
    ];
  }

  #bridgeLines(): readonly string[] {
    const ports = [...localPods, clientPod].flatMap((pod) => {
      const device = podInterface(pod.name);
      return [
        `link add ${device} type veth peer name eth0 netns ${this.netnsOf(pod.name)}`,
        `link set ${device} addrgenmode none`,
        `link set ${device} master ${bridgeName} up`,
        // A pod that reaches itself through a Service comes back by the port that it went out.
        `link set ${device} type bridge_slave hairpin on`,
      ];
    });
    return [
      `link add ${bridgeName} address 02:00:00:00:77:01 type bridge`,
      ...linkUp(bridgeName),
      ...addressLines(bridgeName, gateway, linkBits),
      ...ports,
    ];
  }
}

/** Old addresses of another family's autoconfiguration would only cost time; ICMP errors are asked for by the hundred. */
const plain = [
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  'net.ipv4.icmp_ratelimit=0',
  'net.ipv6.icmp.ratelimit=0',
];
const routing = ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'];

function outsideLines(): readonly string[] {
  return [
    'link set lo up',
    ...linkUp(uplinkName),
    ...addressLines(uplinkName, outsideAddresses, linkBits),
    ...families.map((family) => `route add ${farthest[family]} via ${outsideGateways[family]}`),
  ];
}

function podLines(pod: Machine, wiring: PodWiring, towards: Addresses): readonly string[] {
  return [
    'link set lo up',
    ...linkUp('eth0'),
    ...addressLines('eth0', pod.addresses, wiring === 'bridge' ? linkBits : bits),
    ...families.flatMap((family) => [
      ...(wiring === 'bridge' ? [] : [`route add ${towards[family]}/${bits[family]} dev eth0`]),
      `route add ${farthest[family]} via ${towards[family]} dev eth0`,
    ]),
  ];
}

let linkLocals = 0;

/** With a link-local address that is usable at once: duplicate detection takes a second. */
function linkUp(device: string): readonly string[] {
  linkLocals += 1;
  return [
    `link set ${device} addrgenmode none`,
    `link set ${device} up`,
    `addr add fe80::${linkLocals.toString(16)}/64 dev ${device} nodad`,
  ];
}

function addressLines(
  device: string,
  addresses: Addresses,
  lengths: Readonly<Record<IpFamily, number>>,
): readonly string[] {
  return families.map(
    (family) => `addr add ${addresses[family]}/${lengths[family]} dev ${device}${family === 'ipv6' ? ' nodad' : ''}`,
  );
}
