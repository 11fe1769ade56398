/** The lines that Felix and we render for a policy's rules, read as the kernel reads them: enough of iptables to ask what a chain accepts. */
import type { IpAddress } from '../../src/lib/ip.ts';
import { cidrContains, knownCidr } from '../../src/lib/ip.ts';

export interface LinePacket {
  readonly protocol: string;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly port: number;
  /** Names of the sets that its addresses (and port) are in. */
  readonly sets: ReadonlySet<string>;
}

const accept = 0x10000;

/** Whether the chain leaves the accept mark on the packet. */
export function accepts(lines: readonly string[], packet: LinePacket): boolean {
  let mark = 0;
  for (const line of lines) {
    const words = line.replaceAll(/-m comment --comment "[^"]*"/g, '').split(/\s+/);
    const jump = words.indexOf('--jump');
    if (!matches(words.slice(2, jump), packet, mark)) continue;
    const [target, option, value] = words.slice(jump + 1);
    if (target === 'RETURN') break;
    if (target !== 'MARK' || option !== '--set-mark' || value === undefined) throw new Error(`not known: ${line}`);
    const [bits, mask] = pairOf(value);
    mark = ((mark & ~(mask | bits)) | bits) >>> 0;
  }
  return (mark & accept) !== 0;
}

function matches(words: readonly string[], packet: LinePacket, mark: number): boolean {
  let isNegated = false;
  for (let at = 0; at < words.length; ) {
    const word = words[at] ?? '';
    const value = words[at + 1] ?? '';
    if (word === '!') {
      isNegated = true;
      at += 1;
      continue;
    }
    if (word !== '-m' && word !== '' && holds(word, value, packet, mark) === isNegated) return false;
    if (word !== '-m' && word !== '') isNegated = false;
    at += word === '' ? 1 : word === '--match-set' ? 3 : 2;
  }
  return true;
}

/** The direction of a set is left out: a set of these rules has one. */
function holds(option: string, value: string, packet: LinePacket, mark: number): boolean {
  switch (option) {
    case '-p':
      return packet.protocol === value;
    case '--source':
      return cidrContains(knownCidr(value), packet.source);
    case '--destination':
      return cidrContains(knownCidr(value), packet.destination);
    case '--match-set':
      return packet.sets.has(value);
    case '--destination-ports':
      return value.split(',').some((range) => {
        const [first = 0, last = first] = range.split(':').map(Number);
        return packet.port >= first && packet.port <= last;
      });
    case '--mark': {
      const [bits, mask] = pairOf(value);
      return (mark & mask) >>> 0 === bits;
    }
    default:
      throw new Error(`not known: ${option}`);
  }
}

function pairOf(text: string): readonly [number, number] {
  const [bits = 0, mask = 0xffffffff] = text.split('/').map(Number);
  return [bits, mask];
}
