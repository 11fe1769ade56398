/** Membership in an ipset as the kernel answers it, without a scan of the members. */
import { cidrOf, formatCidr } from '../../lib/ip.ts';
import type { IpSetName } from '../names.ts';
import type { IpSet, Side } from '../rule.ts';
import type { Flight } from './flight.ts';

export class SetLookup {
  readonly #sets: ReadonlyMap<IpSetName, IpSet>;
  readonly #prefixLengths = new WeakMap<IpSet, { readonly size: number; readonly lengths: readonly number[] }>();

  constructor(sets: ReadonlyMap<IpSetName, IpSet>) {
    this.#sets = sets;
  }

  /** Throws for a set that does not exist: the kernel would have refused the rule. */
  has(name: IpSetName, sides: readonly Side[], flight: Flight): boolean {
    const set = this.#sets.get(name);
    if (set === undefined) throw new Error(`a rule refers to set ${name}, which does not exist`);
    const first = flight.address(sideAt(sides, 0, set));
    switch (set.type) {
      case 'hash:ip':
        return set.members.has(first);
      case 'hash:net':
        return set.members.has(first) || this.#holdsNetworkOf(set, first);
      default: {
        const port = portKey(flight, sideAt(sides, 1, set));
        if (port === undefined) return false;
        const pair = `${first},${port}`;
        if (set.type === 'hash:ip,port') return set.members.has(pair);
        return set.members.has(`${pair},${flight.address(sideAt(sides, 2, set))}`);
      }
    }
  }

  #holdsNetworkOf(set: IpSet, address: Flight['source']): boolean {
    if ((set.family === 'ipv4') === address.includes(':')) return false;
    return this.#lengthsOf(set).some((length) => set.members.has(formatCidr(cidrOf(address, length))));
  }

  /** The prefix lengths in use; one pass for each version of a set. */
  #lengthsOf(set: IpSet): readonly number[] {
    const known = this.#prefixLengths.get(set);
    if (known?.size === set.members.size) return known.lengths;
    const lengths = new Set<number>();
    for (const member of set.members) {
      const slash = member.indexOf('/');
      if (slash >= 0) lengths.add(Number(member.slice(slash + 1)));
    }
    const entry = { size: set.members.size, lengths: [...lengths].sort((left, right) => right - left) };
    this.#prefixLengths.set(set, entry);
    return entry.lengths;
  }
}

function sideAt(sides: readonly Side[], index: number, set: IpSet): Side {
  const side = sides[index];
  if (side === undefined) throw new Error(`a rule gives ${sides.length} sides for set ${set.name} of type ${set.type}`);
  return side;
}

/** `tcp:80`, as `ipset list` prints it. */
function portKey(flight: Flight, side: Side): string | undefined {
  const port = flight.port(side);
  return port === undefined ? undefined : `${flight.protocol}:${port}`;
}
