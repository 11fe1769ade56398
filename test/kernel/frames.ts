/** Ethernet frames made by hand, for packets that no well-behaved program sends: borrowed sources, odd tags, false routers. */
import type { IpAddress } from '../../src/lib/ip.ts';
import { bitsOf, familyOf, ipToInteger } from '../../src/lib/ip.ts';

export interface Datagram {
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly port: number;
}

export interface FrameHead {
  /** `02:00:...` */
  readonly source: string;
  readonly destination: string;
  /** With an 802.1Q tag of VLAN 0, which says nothing but a priority. */
  readonly isTagged?: boolean;
}

const udp = 17;
const icmpV6 = 58;
const sourcePort = 40_000;

/** A UDP datagram whose addresses are whatever the test says. */
export function datagramFrame(head: FrameHead, { from, to, port }: Datagram): Buffer {
  const body = Buffer.from('who are you?');
  const header = Buffer.alloc(8);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt16BE(header.length + body.length, 4);
  const segment = Buffer.concat([header, body]);
  segment.writeUInt16BE(checksum(pseudoHeader(from, to, udp, segment.length), segment), 6);
  return frame(head, from, packet({ from, to, protocol: udp, hopLimit: 64 }, segment));
}

/** An ICMPv6 message to all nodes of the link: type 134 claims to be a router. */
export function routerMessageFrame(source: string, from: IpAddress, type: 134 | 137): Buffer {
  const allNodes = 'ff02::1';
  const message = Buffer.alloc(type === 134 ? 16 : 40);
  message.writeUInt8(type, 0);
  message.writeUInt8(64, 4);
  message.writeUInt16BE(1800, 6);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an address as `parseIp` would write it
  const to = allNodes as IpAddress;
  message.writeUInt16BE(checksum(pseudoHeader(from, to, icmpV6, message.length), message), 2);
  const head = { source, destination: '33:33:00:00:00:01' };
  return frame(head, from, packet({ from, to, protocol: icmpV6, hopLimit: 255 }, message));
}

function frame({ source, destination, isTagged = false }: FrameHead, address: IpAddress, body: Buffer): Buffer {
  const type = familyOf(address) === 'ipv4' ? '0800' : '86dd';
  const tag = isTagged ? '81000000' : '';
  const head = `${destination}${source}`.replaceAll(':', '') + tag + type;
  return Buffer.concat([Buffer.from(head, 'hex'), body]);
}

interface PacketHead {
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly protocol: number;
  readonly hopLimit: number;
}

function packet({ from, to, protocol, hopLimit }: PacketHead, payload: Buffer): Buffer {
  const addresses = Buffer.concat([bytesOf(from), bytesOf(to)]);
  if (familyOf(from) === 'ipv6') {
    const fixed = Buffer.from([0x60, 0, 0, 0, 0, 0, protocol, hopLimit]);
    fixed.writeUInt16BE(payload.length, 4);
    return Buffer.concat([fixed, addresses, payload]);
  }
  const fixed = Buffer.from([0x45, 0, 0, 0, 0x12, 0x34, 0, 0, hopLimit, protocol, 0, 0]);
  const header = Buffer.concat([fixed, addresses]);
  header.writeUInt16BE(header.length + payload.length, 2);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

/** The same sum for both families: IPv4's 16-bit length with a zero before it is IPv6's 32-bit one. */
function pseudoHeader(from: IpAddress, to: IpAddress, protocol: number, length: number): Buffer {
  const tail = Buffer.alloc(8);
  tail.writeUInt32BE(length, 0);
  tail.writeUInt8(protocol, 7);
  return Buffer.concat([bytesOf(from), bytesOf(to), tail]);
}

/** Of RFC 1071; all parts but the last have an even length. */
function checksum(...parts: readonly Buffer[]): number {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 1) sum += (bytes[at] ?? 0) * (at % 2 === 0 ? 256 : 1);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return sum === 0xffff ? 0xffff : 0xffff - sum;
}

function bytesOf(address: IpAddress): Buffer {
  const digits = bitsOf(familyOf(address)) / 4;
  return Buffer.from(ipToInteger(address).toString(16).padStart(digits, '0'), 'hex');
}
