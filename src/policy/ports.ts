/** The ports of a policy rule, by protocol. */
import type { PolicyPort } from '../cluster/objects.ts';
import type { PortRange, TransportProtocol } from '../dataplane/rule.ts';

export interface ProtocolPorts {
  /** Absent: every protocol, and then every port. */
  readonly protocol?: TransportProtocol;
  /** True: every port of the protocol; `ranges` and `names` are then empty, being part of it. */
  readonly all: boolean;
  /** Sorted, adjacent and overlapping ones merged. */
  readonly ranges: readonly PortRange[];
  /** In order of first mention. */
  readonly names: readonly string[];
}

const protocolOrder: readonly TransportProtocol[] = ['sctp', 'tcp', 'udp'];

/** One entry for each protocol that is mentioned, in Calico's order (by name); absent ports are one entry for everything. */
export function portsByProtocol(ports: readonly PolicyPort[] | undefined): readonly ProtocolPorts[] {
  if (ports === undefined) return [{ all: true, ranges: [], names: [] }];
  return protocolOrder.flatMap((protocol) => {
    const own = ports.filter((port) => port.protocol.toLowerCase() === protocol);
    return own.length === 0 ? [] : [portsOf(protocol, own)];
  });
}

function portsOf(protocol: TransportProtocol, ports: readonly PolicyPort[]): ProtocolPorts {
  if (ports.some((port) => port.kind === 'any')) return { protocol, all: true, ranges: [], names: [] };
  return {
    protocol,
    all: false,
    ranges: mergeRanges(ports.filter((port) => port.kind === 'range')),
    names: [...new Set(ports.filter((port) => port.kind === 'named').map((port) => port.name))],
  };
}

function mergeRanges(ranges: readonly PortRange[]): readonly PortRange[] {
  const merged: PortRange[] = [];
  for (const { first, last } of ranges.toSorted((a, b) => a.first - b.first)) {
    const previous = merged.at(-1);
    if (previous === undefined || first > previous.last + 1) merged.push({ first, last });
    else merged[merged.length - 1] = { first: previous.first, last: Math.max(previous.last, last) };
  }
  return merged;
}
