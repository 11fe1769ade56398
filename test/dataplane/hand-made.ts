/** Dataplanes and hosts by hand, for the tests of the tracer. */
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
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
import type { Host, Route } from '../../src/dataplane/trace/tracer.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import { familyOf } from '../../src/lib/ip.ts';
import { cidr, ip } from '../addresses.ts';

export { cidr, ip };

export function rule(matches: readonly Match[], action: Action, ...comments: string[]): Rule {
  return { matches, action, comments, origin: {} };
}

export const accept: Action = { kind: 'accept' };
export const drop: Action = { kind: 'drop' };
export const back: Action = { kind: 'return' };
export const jump = (name: string): Action => ({ kind: 'jump', chain: chainName(name) });
export const goto = (name: string): Action => ({ kind: 'goto', chain: chainName(name) });
export const mark = (value: number, mask = value): Action => ({ kind: 'set-mark', value, mask });

export const dst = (text: string): Match => ({ kind: 'address', side: 'destination', cidr: cidr(text) });
export const src = (text: string): Match => ({ kind: 'address', side: 'source', cidr: cidr(text) });
export const hasMark = (value: number, mask = value): Match => ({ kind: 'mark', value, mask });

export interface HandMade {
  readonly chains?: Partial<Record<TableName, Readonly<Record<string, readonly Rule[]>>>>;
  readonly hooks?: readonly Hook[];
  readonly sets?: readonly IpSet[];
  readonly style?: ChainStyle;
}

/** The same rules for both families. */
export function dataplane({ chains = {}, hooks = [], sets = [], style = 'cali' }: HandMade): Dataplane {
  const table = (name: TableName): ReadonlyMap<Chain['name'], Chain> =>
    new Map(
      Object.entries(chains[name] ?? {}).map(([chain, rules]) => {
        const made: Chain = { name: chainName(chain), style, rules };
        return [made.name, made];
      }),
    );
  const family = {
    chains: { raw: table('raw'), mangle: table('mangle'), nat: table('nat'), filter: table('filter') },
    hooks,
  };
  return { ipSets: new Map(sets.map((set) => [set.name, set])), tables: { ipv4: family, ipv6: family } };
}

export function hook(table: TableName, chain: BuiltinChain, own: Rule, position: Hook['position'] = 'first'): Hook {
  return { table, chain, position, style: 'cali', rule: own };
}

export function ipSet(id: string, type: IpSetType, members: readonly string[], family: IpFamily = 'ipv4'): IpSet {
  return { name: setName(id, family), family, type, members: new Set(members), origin: {} };
}

/** A node with 192.0.2.1 and 2001:db8::1 of its own; everything else is behind eth0, unless `routes` says otherwise. */
export function host(routes: Readonly<Record<string, Route>> = {}): Host {
  const own = new Set([ip('192.0.2.1'), ip('2001:db8::1')]);
  return {
    isOwnAddress: (address) => own.has(address),
    route: (destination) =>
      routes[destination] ?? {
        outInterface: 'eth0',
        sourceAddress: familyOf(destination) === 'ipv4' ? ip('192.0.2.1') : ip('2001:db8::1'),
      },
  };
}
