/** Who talks to whom, out of a conntrack table that may hold hundreds of thousands of entries: read piece by piece, each conversation kept once. */
import type { Conversation } from '../../dataplane/conversation.ts';
import { echoRequest, parseConversationMember } from '../../dataplane/conversation.ts';
import type { IpAddress } from '../../lib/ip.ts';
import { familyOf, parseIp } from '../../lib/ip.ts';
import type { Run } from '../exec.ts';
import { CommandError } from '../exec.ts';
import { LineSplitter } from '../line-splitter.ts';

export interface TrackedConversation extends Conversation {
  /** How many connections conntrack has of it. */
  readonly connections: number;
}

/** By the member of a hash:ip,port,ip set that stands for it. */
export type TrackedConversations = ReadonlyMap<string, TrackedConversation>;

/** The whole table as text, of both families; read in 0.25 s at 100,000 entries. Kernels may be built without it. */
export const conntrackFile = '/proc/net/nf_conntrack';

/** Reads the table as the kernel prints it where it does, and by the conntrack program (twice the time) elsewhere. */
export class ConversationTable {
  readonly #run: Run;
  readonly #readShort: (path: string) => Promise<string | undefined>;
  #hasFile = true;

  /** `readShort`: the text of a short file, undefined where it is long or cannot be had; the program that it saves is most of the cost. */
  constructor(run: Run, readShort: (path: string) => Promise<string | undefined>) {
    this.#run = run;
    this.#readShort = readShort;
  }

  /** `touching`: at least one end is among these, or a flow is nobody's business here. Throws CommandError where the table cannot be read. */
  async read(touching: ReadonlySet<IpAddress>): Promise<TrackedConversations> {
    return (await this.#readFile(touching)) ?? this.#ask(touching);
  }

  async #readFile(touching: ReadonlySet<IpAddress>): Promise<TrackedConversations | undefined> {
    if (!this.#hasFile) return undefined;
    const reader = new ConversationReader(touching);
    const short = await this.#readShort(conntrackFile);
    if (short !== undefined) {
      reader.read(short);
      return reader.end();
    }
    try {
      await this.#run(['cat', conntrackFile], { onStdout: (piece) => reader.read(piece) });
      return reader.end();
    } catch (error) {
      if (!(error instanceof CommandError) || error.timedOut) throw error;
      // A failure of the moment is tried again by whoever reads next; that there is no such file stays so.
      this.#hasFile = !/No such file/.test(error.stderr);
      return undefined;
    }
  }

  async #ask(touching: ReadonlySet<IpAddress>): Promise<TrackedConversations> {
    const reader = new ConversationReader(touching);
    for (const family of new Set([...touching].map(familyOf))) {
      await this.#run(['conntrack', '-L', '-f', family], { onStdout: (piece) => reader.read(piece) });
    }
    return reader.end();
  }
}

/** The number of a ping's question, by protocol as conntrack names it. */
const pings: ReadonlyMap<string, { readonly name: string; readonly type: string }> = new Map([
  ['icmp', { name: 'icmp', type: ' type=8 ' }],
  ['icmpv6', { name: 'ipv6-icmp', type: ' type=128 ' }],
]);

/** Of `fd00:0010:0088:0000:0000:0000:0000:001a`. */
const fullLength = 39;

/** The text comes in pieces that end anywhere. No regular expressions and no array of lines: 100,000 lines go through here. */
export class ConversationReader {
  readonly #touching: ReadonlySet<string>;
  readonly #found = new Map<string, Conversation & { connections: number }>();
  /** The kernel's own file has IPv6 addresses in full. */
  readonly #shortForms = new Map<string, string>();
  readonly #lines = new LineSplitter((line) => this.#readLine(line));

  constructor(touching: ReadonlySet<IpAddress>) {
    this.#touching = touching;
  }

  read(piece: string): void {
    this.#lines.take(piece);
  }

  end(): TrackedConversations {
    this.#lines.end();
    return this.#found;
  }

  /**
   * `tcp      6 86399 ESTABLISHED src=10.0.0.1 dst=10.96.0.1 sport=4 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=8080 dport=4 [ASSURED] ...`:
   * the client is the source as it was sent, the server and its port are the source of the answers. The kernel's own file has
   * `ipv4     2 ` before it.
   */
  #readLine(line: string): void {
    const original = line.indexOf(' src=');
    const reply = line.indexOf(' src=', original + 1);
    if (original < 0 || reply < 0) return;
    const client = this.#shortened(wordAt(line, original + 5));
    const server = this.#shortened(wordAt(line, reply + 5));
    if (!this.#touching.has(client) && !this.#touching.has(server)) return;
    const service = serviceOf(line, reply);
    if (service !== undefined) this.#count(`${client},${service},${server}`);
  }

  #shortened(address: string): string {
    if (address.length !== fullLength) return address;
    const known = this.#shortForms.get(address);
    if (known !== undefined) return known;
    const short = parseIp(address) ?? address;
    this.#shortForms.set(address, short);
    return short;
  }

  #count(member: string): void {
    const known = this.#found.get(member);
    if (known !== undefined) {
      known.connections += 1;
      return;
    }
    const conversation = parseConversationMember(member);
    if (conversation !== undefined) this.#found.set(member, { ...conversation, connections: 1 });
  }
}

/** `tcp:8080`, `icmp:echo-request`; undefined for what a set has no member for. */
function serviceOf(line: string, reply: number): string | undefined {
  const protocol = wordAt(line, line.startsWith('ipv') ? afterWords(line, 2) : 0);
  const ping = pings.get(protocol);
  if (ping !== undefined) {
    const question = line.indexOf(ping.type);
    return question > 0 && question < reply ? `${ping.name}:${echoRequest}` : undefined;
  }
  const port = line.indexOf(' sport=', reply);
  return port < 0 ? undefined : `${protocol}:${wordAt(line, port + 7)}`;
}

/** Where the word after so many others begins. */
function afterWords(line: string, words: number): number {
  let at = 0;
  for (let passed = 0; passed < words; passed += 1) {
    at = line.indexOf(' ', at);
    while (line[at] === ' ') at += 1;
  }
  return at;
}

function wordAt(line: string, start: number): string {
  const end = line.indexOf(' ', start);
  return end < 0 ? line.slice(start) : line.slice(start, end);
}
