/** What the kernel refused, and what stands in for it until its content changes. */
import type { Dataplane, DataplaneDelta, FamilyTables, IpSetChange } from '../dataplane/dataplane.ts';
import { tableNames } from '../dataplane/dataplane.ts';
import type { ChainName, IpSetName } from '../dataplane/names.ts';
import { renderChain } from '../dataplane/render.ts';
import type { BuiltinChain, Chain, IpSet, TableName } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import { unreachable } from '../lib/unreachable.ts';

export type Refusal =
  | {
      readonly kind: 'chain';
      readonly family: IpFamily;
      readonly table: TableName;
      /** As it was wanted: its rules' origins tell whose it is. */
      readonly chain: Chain;
      readonly message: string;
      /** What is in the kernel instead: nothing gets through; the last good text; or no such chain, and so nothing that refers to it. */
      readonly instead: 'closed' | 'kept' | 'absent';
    }
  | {
      readonly kind: 'hook';
      readonly family: IpFamily;
      readonly table: TableName;
      readonly chain: BuiltinChain;
      readonly message: string;
    }
  | { readonly kind: 'set'; readonly set: IpSet; readonly message: string }
  | { readonly kind: 'member'; readonly set: IpSet; readonly member: string; readonly message: string };

/** `ipv4 filter cali-pi-...`, `ipset cali40s:... member 10.0.0.0/8` */
export function describeRefusal(refusal: Refusal): string {
  switch (refusal.kind) {
    case 'chain':
      return `${refusal.family} ${refusal.table} ${refusal.chain.name}: ${refusal.message}`;
    case 'hook':
      return `${refusal.family} ${refusal.table} ${refusal.chain}: ${refusal.message}`;
    case 'set':
      return `ipset ${refusal.set.name}: ${refusal.message}`;
    case 'member':
      return `ipset ${refusal.set.name} member ${refusal.member}: ${refusal.message}`;
    default:
      return unreachable(refusal);
  }
}

type ChainRefusal = Extract<Refusal, { kind: 'chain' }>;

/** Replaces refused chains and members by their stand-ins, so that they are not tried again and again. */
export class Refusals {
  readonly #chains = new Map<string, { readonly refusal: ChainRefusal; readonly standIn: Chain | undefined }>();
  readonly #members = new Map<string, Map<string, Refusal>>();
  /** Tried again by every full compare. */
  #others: Refusal[] = [];

  get all(): readonly Refusal[] {
    const members = [...this.#members.values()].flatMap((ofSet) => [...ofSet.values()]);
    return [...[...this.#chains.values()].map(({ refusal }) => refusal), ...members, ...this.#others];
  }

  add(refusal: Refusal, standIn?: Chain): void {
    if (refusal.kind === 'chain')
      this.#chains.set(keyOf(refusal.family, refusal.table, refusal.chain.name), { refusal, standIn });
    else if (refusal.kind === 'member') {
      const ofSet = this.#members.get(refusal.set.name) ?? new Map<string, Refusal>();
      this.#members.set(refusal.set.name, ofSet.set(refusal.member, refusal));
    } else this.#others.push(refusal);
  }

  /** Before a full compare: what is not wanted any more, has changed, or has no stand-in gets another chance. */
  beginCompare(dataplane: Dataplane): void {
    this.#others = [];
    for (const [key, { refusal, standIn }] of this.#chains) {
      const wanted = dataplane.tables[refusal.family].chains[refusal.table].get(refusal.chain.name);
      if (standIn === undefined || wanted === undefined || !isSameText(wanted, refusal.chain)) this.#chains.delete(key);
    }
    for (const name of this.#members.keys()) if (!hasSet(dataplane, name)) this.#members.delete(name);
  }

  /** The whole desired state with stand-ins. */
  applyToAll(dataplane: Dataplane): Dataplane {
    if (this.#chains.size + this.#members.size === 0) return dataplane;
    const [ipv4, ipv6] = [this.#tablesOf(dataplane, 'ipv4'), this.#tablesOf(dataplane, 'ipv6')];
    return { ipSets: this.#setsOf(dataplane), tables: { ipv4, ipv6 } };
  }

  /** The same, without sets that were refused as a whole. */
  withoutRefused(dataplane: Dataplane): Dataplane {
    const refused = new Set(this.#others.flatMap((other) => (other.kind === 'set' ? [other.set.name] : [])));
    const wanted = this.applyToAll(dataplane);
    if (refused.size === 0) return wanted;
    return { ...wanted, ipSets: new Map([...wanted.ipSets].filter(([name]) => !refused.has(name))) };
  }

  applyToDelta(delta: DataplaneDelta): DataplaneDelta {
    if (this.#chains.size + this.#members.size === 0) return delta;
    const chains = delta.chains.map((change) => {
      if (change.chain === undefined) return change;
      return { ...change, chain: this.#standInFor(change.family, change.table, change.chain) };
    });
    return { ...delta, chains, ipSets: delta.ipSets.map((change) => this.#withoutBadMembers(change)) };
  }

  /** All of it is tried again by the next full compare. */
  clear(): void {
    this.#chains.clear();
    this.#members.clear();
    this.#others = [];
  }

  #standInFor(family: IpFamily, table: TableName, chain: Chain): Chain {
    const known = this.#chains.get(keyOf(family, table, chain.name));
    if (known === undefined) return chain;
    if (known.standIn !== undefined && isSameText(known.refusal.chain, chain)) return known.standIn;
    this.#chains.delete(keyOf(family, table, chain.name));
    return chain;
  }

  #tablesOf(dataplane: Dataplane, family: IpFamily): FamilyTables {
    const { chains, hooks } = dataplane.tables[family];
    const replaced: Record<TableName, ReadonlyMap<ChainName, Chain>> = { ...chains };
    for (const table of tableNames) {
      const here = [...this.#chains.values()].filter(
        ({ refusal }) => refusal.family === family && refusal.table === table,
      );
      if (here.length === 0) continue;
      const copy = new Map(chains[table]);
      for (const { standIn } of here) if (standIn !== undefined) copy.set(standIn.name, standIn);
      replaced[table] = copy;
    }
    return { chains: replaced, hooks };
  }

  #setsOf({ ipSets }: Dataplane): ReadonlyMap<IpSetName, IpSet> {
    if (this.#members.size === 0) return ipSets;
    return new Map([...ipSets].map(([name, set]) => [name, this.#filtered(set)]));
  }

  #withoutBadMembers(change: IpSetChange): IpSetChange {
    if (change.kind === 'remove' || !this.#members.has(change.set.name)) return change;
    return { ...change, set: this.#filtered(change.set) };
  }

  #filtered(set: IpSet): IpSet {
    const bad = this.#members.get(set.name);
    if (bad === undefined) return set;
    return { ...set, members: new Set([...set.members].filter((member) => !bad.has(member))) };
  }
}

function hasSet({ ipSets }: Dataplane, name: string): boolean {
  const names: ReadonlyMap<string, IpSet> = ipSets;
  return names.has(name);
}

function isSameText(left: Chain, right: Chain): boolean {
  return left === right || renderChain(left).join('\n') === renderChain(right).join('\n');
}

function keyOf(family: IpFamily, table: TableName, name: string): string {
  return `${family} ${table} ${name}`;
}
