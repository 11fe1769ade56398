/** Lines of `conntrack -L -o extended` as data. */
import { parseIp } from '../../lib/ip.ts';
import type { IpAddress, IpFamily } from '../../lib/ip.ts';

export interface FlowTuple {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** Absent for protocols without ports. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/** One tracked connection. After DNAT its server is `reply.source`, and the server's port `reply.sourcePort`. */
export interface Flow {
  readonly family: IpFamily;
  /** `tcp`, `udp`, `sctp`, `icmp`, ... */
  readonly protocol: string;
  readonly original: FlowTuple;
  readonly reply: FlowTuple;
}

/** Undefined for a line that is no flow. `ipv4 2 udp 17 29 src=10.0.0.1 dst=10.0.0.2 sport=4 dport=53 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=53 dport=4 mark=0 use=1` */
export function parseFlow(line: string): Flow | undefined {
  const [, family, protocol = ''] = /^(ipv[46])\s+\d+\s+(\S+)/.exec(line) ?? [];
  const second = line.indexOf(' src=', line.indexOf(' src=') + 1);
  if (family === undefined || second < 0) return undefined;
  const original = parseTuple(line.slice(0, second));
  const reply = parseTuple(line.slice(second));
  if (original === undefined || reply === undefined) return undefined;
  return { family: family === 'ipv4' ? 'ipv4' : 'ipv6', protocol, original, reply };
}

function parseTuple(text: string): FlowTuple | undefined {
  const source = parseIp(valueOf(text, 'src') ?? '');
  const destination = parseIp(valueOf(text, 'dst') ?? '');
  if (source === undefined || destination === undefined) return undefined;
  const [sport, dport] = [valueOf(text, 'sport'), valueOf(text, 'dport')];
  return {
    source,
    destination,
    ...(sport === undefined ? {} : { sourcePort: Number(sport) }),
    ...(dport === undefined ? {} : { destinationPort: Number(dport) }),
  };
}

function valueOf(text: string, key: string): string | undefined {
  const start = text.indexOf(` ${key}=`);
  if (start < 0) return undefined;
  const from = start + key.length + 2;
  const end = text.indexOf(' ', from);
  return end < 0 ? text.slice(from) : text.slice(from, end);
}
