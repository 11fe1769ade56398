/** One packet on its walk: the mutable inside of a trace, never seen outside. */
import type { IpAddress, IpFamily } from '../../lib/ip.ts';
import { ipToInteger } from '../../lib/ip.ts';
import type { Side } from '../rule.ts';
import type { Choices } from './branches.ts';
import type { Packet, PacketProtocol, PacketState } from './packet.ts';
import { protocolNumber } from './packet.ts';

/** What a walk takes from outside the packet. */
export interface FlightOptions {
  /** Needed where a chain holds `-m statistic`. */
  readonly choices?: Choices;
  /** Lists of `-m recent` that hold the source. */
  readonly recent?: ReadonlySet<string>;
}

export class Flight {
  readonly family: IpFamily;
  readonly protocol: PacketProtocol;
  readonly protocolNumber: number;
  source: IpAddress;
  destination: IpAddress;
  readonly sourcePort: number | undefined;
  destinationPort: number | undefined;
  readonly icmpType: number | undefined;
  mark: number;
  readonly state: PacketState;
  readonly direction: 'ORIGINAL' | 'REPLY';
  isDnat: boolean;
  isSnat: boolean;
  inInterface: string | undefined;
  inPort: string | undefined;
  outInterface: string | undefined;
  outPort: string | undefined;
  /** False before conntrack has seen it: in raw. */
  isTracked = false;
  /** The address that MASQUERADE would give it. */
  egressAddress: IpAddress | undefined;
  readonly choices: Choices | undefined;
  readonly recent: ReadonlySet<string> | undefined;

  constructor(packet: Packet, options: FlightOptions) {
    this.family = packet.family;
    this.protocol = packet.protocol;
    this.protocolNumber = protocolNumber(packet.protocol);
    this.source = packet.source;
    this.destination = packet.destination;
    this.sourcePort = packet.sourcePort;
    this.destinationPort = packet.destinationPort;
    this.icmpType = packet.icmpType;
    this.mark = packet.mark;
    this.state = packet.state;
    this.direction = packet.direction;
    this.isDnat = packet.isDnat;
    this.isSnat = packet.isSnat;
    this.inInterface = packet.inInterface;
    this.inPort = packet.inPort;
    this.outInterface = packet.outInterface;
    this.outPort = packet.outPort;
    this.choices = options.choices;
    this.recent = options.recent;
  }

  address(side: Side): IpAddress {
    return side === 'source' ? this.source : this.destination;
  }

  port(side: Side): number | undefined {
    return side === 'source' ? this.sourcePort : this.destinationPort;
  }

  /** The packet as it is now. */
  snapshot(): Packet {
    return {
      family: this.family,
      source: this.source,
      destination: this.destination,
      protocol: this.protocol,
      mark: this.mark,
      state: this.state,
      direction: this.direction,
      isDnat: this.isDnat,
      isSnat: this.isSnat,
      ...(this.sourcePort === undefined ? {} : { sourcePort: this.sourcePort }),
      ...(this.destinationPort === undefined ? {} : { destinationPort: this.destinationPort }),
      ...(this.icmpType === undefined ? {} : { icmpType: this.icmpType }),
      ...(this.inInterface === undefined ? {} : { inInterface: this.inInterface }),
      ...(this.inPort === undefined ? {} : { inPort: this.inPort }),
      ...(this.outInterface === undefined ? {} : { outInterface: this.outInterface }),
      ...(this.outPort === undefined ? {} : { outPort: this.outPort }),
    };
  }
}

/** Addresses as numbers, each parsed once. */
export class AddressNumbers {
  readonly #ipv4 = new Map<IpAddress, number>();
  readonly #ipv6 = new Map<IpAddress, bigint>();

  ipv4(address: IpAddress): number {
    const known = this.#ipv4.get(address);
    if (known !== undefined) return known;
    const value = Number(ipToInteger(address));
    this.#ipv4.set(address, value);
    return value;
  }

  ipv6(address: IpAddress): bigint {
    const known = this.#ipv6.get(address);
    if (known !== undefined) return known;
    const value = ipToInteger(address);
    this.#ipv6.set(address, value);
    return value;
  }
}
