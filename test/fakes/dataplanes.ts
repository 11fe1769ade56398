/** Small desired states for tests of the backends. */
import type { Dataplane, FamilyTables } from '../../src/dataplane/dataplane.ts';
import { DataplaneStore } from '../../src/dataplane/dataplane.ts';
import type { ChainName, IpSetName } from '../../src/dataplane/names.ts';
import { chainName, setName } from '../../src/dataplane/names.ts';
import type {
  Action,
  BuiltinChain,
  Chain,
  ChainStyle,
  Hook,
  IpSet,
  IpSetType,
  Match,
  Rule,
  TableName,
} from '../../src/dataplane/rule.ts';
import type { IpFamily } from '../../src/lib/ip.ts';

export function ruleOf(action: Action, ...matches: readonly Match[]): Rule {
  return { matches, action, comments: [], origin: {} };
}

export function jumpTo(chain: string): Action {
  return { kind: 'jump', chain: chainName(chain) };
}

export function inSet(set: IpSetName): Match {
  return { kind: 'ipset', set, sides: ['source'] };
}

export function markIs(value: number): Match {
  return { kind: 'mark', value, mask: value };
}

export function chainOf(name: string, ...rules: readonly Rule[]): Chain {
  return { name: chainName(name), style: 'cali', rules };
}

export function setOf(id: string, members: readonly string[], more: Partial<IpSet> = {}): IpSet {
  const family = more.family ?? 'ipv4';
  const type: IpSetType = 'hash:net';
  return { name: setName(id, family), family, type, members: new Set(members), origin: {}, ...more };
}

export function hookOf(
  chain: BuiltinChain,
  target: string,
  more: { table?: TableName; position?: Hook['position']; style?: ChainStyle } = {},
): Hook {
  const { table = 'filter', position = 'first', style = 'cali' } = more;
  return { table, chain, position, style, rule: ruleOf(jumpTo(target)) };
}

export interface Wanted {
  readonly sets?: readonly IpSet[];
  /** Per table; the filter table's as `filter`. */
  readonly chains?: Partial<Record<TableName, readonly Chain[]>>;
  readonly hooks?: readonly Hook[];
  /** Which families get the chains and hooks; default IPv4 alone. Sets go where their own family says. */
  readonly families?: readonly IpFamily[];
}

export function dataplaneOf({ sets = [], chains = {}, hooks = [], families = ['ipv4'] }: Wanted): Dataplane {
  const wanted: FamilyTables = {
    chains: {
      raw: byName(chains.raw),
      mangle: byName(chains.mangle),
      nat: byName(chains.nat),
      filter: byName(chains.filter),
    },
    hooks,
  };
  const nothing = new DataplaneStore().tables.ipv4;
  return {
    ipSets: new Map(sets.map((set) => [set.name, set])),
    tables: {
      ipv4: families.includes('ipv4') ? wanted : nothing,
      ipv6: families.includes('ipv6') ? wanted : nothing,
    },
  };
}

function byName(chains: readonly Chain[] = []): ReadonlyMap<ChainName, Chain> {
  return new Map(chains.map((chain) => [chain.name, chain]));
}
