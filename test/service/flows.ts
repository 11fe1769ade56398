/** Packets to frontends, walked through the KUBE chains by the tracer. */
import type { Protocol } from '../../src/cluster/objects.ts';
import { everyBranch } from '../../src/dataplane/trace/branches.ts';
import { packetOf } from '../../src/dataplane/trace/packet.ts';
import { type Host, NodeTracer } from '../../src/dataplane/trace/tracer.ts';
import { joinHostPort } from '../../src/lib/ip.ts';
import { type Bench, ip } from './fixtures.ts';
import type { Client } from './truth-table.ts';

export interface Probe {
  readonly from: Client;
  readonly to: string;
  readonly port: number;
  readonly protocol?: Protocol;
  /** Another source address than the client's usual one. */
  readonly source?: string;
}

export interface Answer {
  /** `address:port` of everywhere it may go, sorted; the destination itself where there was no DNAT. */
  readonly reaches: readonly string[];
  readonly masquerade: boolean;
}

const sources = {
  ipv4: { pod: '10.0.0.7', node: '192.168.0.2', outside: '203.0.113.9' },
  ipv6: { pod: 'fd00:10::7', node: 'fd00:192::2', outside: '2001:db8::9' },
} as const;

const host: Host = {
  isOwnAddress: (address) => address === '192.168.0.2' || address === 'fd00:192::2',
  route: (destination) => ({
    outInterface: destination.startsWith('10.') ? 'cni0' : 'eth0',
    sourceAddress: ip(destination.includes(':') ? 'fd00:192::2' : '192.168.0.2'),
  }),
};

/** What becomes of the first packet of a connection. */
export function probe(bench: Bench, { from, to, port, protocol = 'TCP', source }: Probe): Answer | 'reject' | 'drop' {
  const tracer = new NodeTracer(bench.dataplane, host);
  const packet = packetOf({
    source: ip(source ?? sources[to.includes(':') ? 'ipv6' : 'ipv4'][from]),
    destination: ip(to),
    destinationPort: port,
    protocol: ({ TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const)[protocol],
    ...(from === 'node' ? {} : { inInterface: from === 'pod' ? 'cni0' : 'eth0' }),
  });
  const results = everyBranch((choices) =>
    from === 'node' ? tracer.send(packet, { choices }) : tracer.receive(packet, { choices }),
  ).map(({ result }) => result);
  const refused = results.find(({ verdict }) => verdict !== 'accept')?.verdict;
  if (refused === 'reject' || refused === 'drop') return refused;
  const reaches = results.map((result) => joinHostPort(result.packet.destination, result.packet.destinationPort ?? 0));
  return { reaches: [...new Set(reaches)].sort(), masquerade: results.some((result) => result.packet.isSnat) };
}

/** Rules that a new connection's packet is held against in nat PREROUTING, dispatch and balancing together. */
export function rulesPassed(bench: Bench, to: string, port: number, protocol: Protocol = 'TCP'): number {
  const tracer = new NodeTracer(bench.dataplane, host);
  const packet = packetOf({
    source: ip(sources[to.includes(':') ? 'ipv6' : 'ipv4'].pod),
    destination: ip(to),
    destinationPort: port,
    protocol: ({ TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const)[protocol],
    inInterface: 'cni0',
  });
  const counts = everyBranch((choices) => {
    const { path } = tracer.traceHook('PREROUTING', packet, { choices, record: true });
    // The last step of a chain tells how far down the packet went.
    const reached = new Map(
      path.map((step) => [step.chain, step.kind === 'rule' ? step.index + 1 : step.rules.length]),
    );
    return [...reached.values()].reduce((sum, count) => sum + count, 0);
  }).map(({ result }) => result);
  return Math.max(...counts);
}
