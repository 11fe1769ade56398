/** What becomes of a probe on one node, told by the tracer over the rules that are in its kernel. */
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import { everyBranch } from '../../src/dataplane/trace/branches.ts';
import type { Packet } from '../../src/dataplane/trace/packet.ts';
import { packetOf } from '../../src/dataplane/trace/packet.ts';
import { shareToNumber } from '../../src/dataplane/trace/share.ts';
import type { Trace } from '../../src/dataplane/trace/step.ts';
import type { Host } from '../../src/dataplane/trace/tracer.ts';
import { NodeTracer } from '../../src/dataplane/trace/tracer.ts';
import type { IpAddress } from '../../src/lib/ip.ts';
import { familyOf, joinHostPort, parseIp } from '../../src/lib/ip.ts';
import type { Probe } from './probes.ts';
import { sourceOf } from './probes.ts';
import { clientPod, families, gateway, localPods, nodeAddresses } from './topology.ts';

/** How interfaces are called on both nodes: what their pods' interfaces begin with, and the bridge, if there is one. */
export interface Interfaces {
  readonly ofPod: (name: string) => string;
  readonly uplink: string;
}

/** One way that a probe can go. */
export interface Way {
  /** `accepted`, or how it was refused. */
  readonly verdict: Trace['verdict'];
  /** `address:port` where it ends up; empty for one that is refused. */
  readonly to: string;
  /** Whom the endpoint sees; empty for one that is refused. */
  readonly seenAs: string;
}

/** Every way with its probability, one line each, sorted: two outcomes are the same when their lines are. */
export type Outcome = readonly string[];

/** The rules of one node, ready for many probes. */
export class TracedNode {
  readonly #tracer: NodeTracer;
  readonly #interfaces: Interfaces;
  readonly #lists: ReadonlySet<string>;

  constructor(dataplane: Dataplane, interfaces: Interfaces) {
    this.#tracer = new NodeTracer(dataplane, hostOf(interfaces));
    this.#interfaces = interfaces;
    this.#lists = new Set(affinityLists(dataplane));
  }

  outcomeOf(probe: Probe): Outcome {
    const shares = new Map<string, number>();
    for (const { way, share } of this.waysOf(probe)) {
      const text = textOf(way);
      shares.set(text, (shares.get(text) ?? 0) + share);
    }
    return [...shares].map(([text, share]) => `${share.toFixed(6)} ${text}`).toSorted();
  }

  waysOf(probe: Probe): readonly { readonly way: Way; readonly share: number }[] {
    const branches = everyBranch((choices) => this.#trace(probe, { choices }));
    return branches.map(({ probability, result }) => ({ way: wayOf(result), share: shareToNumber(probability) }));
  }

  /** The rules that the first of its ways meets. */
  pathOf(probe: Probe): readonly string[] {
    const [first] = everyBranch((choices) => this.#trace(probe, { choices, record: true }));
    return (first?.result.path ?? []).flatMap((step) =>
      step.kind === 'rule' ? [`${step.table} ${step.hook} ${step.chain} ${step.rule.origin.note ?? ''}`] : [],
    );
  }

  #trace(probe: Probe, options: Parameters<NodeTracer['send']>[1]): Trace {
    const packet = this.#packetOf(probe);
    const full = { ...options, ...(probe.isKnown === true ? { recent: this.#lists } : {}) };
    return probe.from === 'node' ? this.#tracer.send(packet, full) : this.#tracer.receive(packet, full);
  }

  #packetOf({ from, family, to, port, protocol }: Probe): Packet {
    const destination = address(to);
    const isOwn = from === 'node' && isOwnAddress(destination);
    const packet = packetOf({
      source: isOwn ? destination : address(sourceOf(from, family)),
      destination,
      destinationPort: port,
      sourcePort: 40_000,
      protocol: ({ TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const)[protocol],
    });
    const { ofPod, uplink } = this.#interfaces;
    switch (from) {
      case 'node':
        return packet;
      case 'client':
        return { ...packet, inInterface: ofPod(clientPod.name) };
      case 'server':
        return { ...packet, inInterface: ofPod(localPods[0]?.name ?? '') };
      default:
        return { ...packet, inInterface: uplink };
    }
  }
}

export function textOf({ verdict, to, seenAs }: Way): string {
  return verdict === 'accept' ? `${to} as ${seenAs}` : verdict;
}

function wayOf({ verdict, packet }: Trace): Way {
  if (verdict !== 'accept') return { verdict, to: '', seenAs: '' };
  return { verdict, to: joinHostPort(packet.destination, packet.destinationPort ?? 0), seenAs: packet.source };
}

function hostOf({ ofPod, uplink }: Interfaces): Host {
  const pods = new Map(
    [...localPods, clientPod].flatMap(({ name, addresses }) =>
      families.map((family) => [address(addresses[family]), ofPod(name)] as const),
    ),
  );
  return {
    isOwnAddress,
    route: (destination) => {
      const family = familyOf(destination);
      const pod = pods.get(destination);
      // What a node sends to its pods, it sends from their gateway.
      if (pod !== undefined) return { outInterface: pod, sourceAddress: address(gateway[family]) };
      return { outInterface: uplink, sourceAddress: address(nodeAddresses[family]) };
    },
  };
}

function isOwnAddress(candidate: IpAddress): boolean {
  const own = [nodeAddresses, gateway].some((addresses) => addresses[familyOf(candidate)] === candidate);
  return own || candidate === '::1' || candidate.startsWith('127.');
}

function affinityLists({ tables }: Dataplane): readonly string[] {
  const chains = families.flatMap((family) => [...tables[family].chains.nat.values()]);
  return chains.flatMap(({ rules }) =>
    rules.flatMap(({ matches }) => matches.flatMap((match) => (match.kind === 'recent-check' ? [match.list] : []))),
  );
}

function address(text: string): IpAddress {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}
