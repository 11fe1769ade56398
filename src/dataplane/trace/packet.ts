/** A packet as the rules see it, and what conntrack knows about its connection. */
import type { IpAddress, IpFamily } from '../../lib/ip.ts';
import { familyOf } from '../../lib/ip.ts';
import type { TransportProtocol } from '../rule.ts';

export type PacketProtocol = TransportProtocol | 'icmp' | 'ipv6-icmp' | number;
export type PacketState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED';

export interface Packet {
  readonly family: IpFamily;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: PacketProtocol;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly icmpType?: number;
  readonly mark: number;
  /** What conntrack says from its own place on (after raw). */
  readonly state: PacketState;
  readonly direction: 'ORIGINAL' | 'REPLY';
  /** The connection's destination was translated on this node. */
  readonly isDnat: boolean;
  /** The connection's source was translated on this node. */
  readonly isSnat: boolean;
  readonly inInterface?: string;
  /** The bridge port it came in by; `inInterface` is then the bridge. */
  readonly inPort?: string;
  readonly outInterface?: string;
  readonly outPort?: string;
}

export type PacketFields = Partial<Packet> & Pick<Packet, 'source' | 'destination'>;

/** The first packet of a TCP connection, unless `fields` says otherwise. */
export function packetOf(fields: PacketFields): Packet {
  return {
    family: familyOf(fields.source),
    protocol: 'tcp',
    mark: 0,
    state: 'NEW',
    direction: 'ORIGINAL',
    isDnat: false,
    isSnat: false,
    ...fields,
  };
}

/** IANA's number of a protocol. */
export function protocolNumber(protocol: PacketProtocol): number {
  if (typeof protocol === 'number') return protocol;
  return { tcp: 6, udp: 17, sctp: 132, icmp: 1, 'ipv6-icmp': 58 }[protocol];
}
