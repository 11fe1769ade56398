/** Whom policy tells apart among open connections, as data and as a member of a hash:ip,port,ip set. */
import type { IpAddress, IpFamily } from '../lib/ip.ts';
import { familyOf, parseIp } from '../lib/ip.ts';
import type { TransportProtocol } from './rule.ts';

/** All connections of one client with one port of one server, the server being the one after DNAT: NetworkPolicy's granularity. */
export interface Conversation {
  readonly family: IpFamily;
  readonly protocol: ConversationProtocol;
  readonly client: IpAddress;
  readonly server: IpAddress;
  /** Absent for ICMP: it is a ping then. */
  readonly port?: number;
}

export type ConversationProtocol = TransportProtocol | 'icmp' | 'ipv6-icmp';

/** How the kernel's tools write a ping's type in the place of a port. */
export const echoRequest = 'echo-request';

/** `10.0.0.1,tcp:80,10.0.0.2`, as `ipset save` prints it. */
export function conversationMember({ client, protocol, port, server }: Conversation): string {
  return `${client},${protocol}:${port ?? echoRequest},${server}`;
}

/** Undefined for text that `conversationMember` does not make. */
export function parseConversationMember(member: string): Conversation | undefined {
  const [, from = '', protocol = '', port = '', to = ''] = /^([^,]+),([^,:]+):([^,:]+),([^,]+)$/.exec(member) ?? [];
  const [client, server] = [parseIp(from), parseIp(to)];
  if (client === undefined || server === undefined || !isConversationProtocol(protocol)) return undefined;
  const ends = { family: familyOf(client), protocol, client, server };
  if (port === echoRequest) return ends;
  return /^\d+$/.test(port) ? { ...ends, port: Number(port) } : undefined;
}

const protocols: ReadonlySet<string> = new Set<ConversationProtocol>(['tcp', 'udp', 'sctp', 'icmp', 'ipv6-icmp']);

export function isConversationProtocol(name: string): name is ConversationProtocol {
  return protocols.has(name);
}
