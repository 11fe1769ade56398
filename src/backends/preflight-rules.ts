/** One rule for every match and target that may ever be written, in the table where it will be. */
import type { Action, Chain, Match, Rule, TableName } from '../dataplane/rule.ts';
import type { TableWrite } from '../dataplane/restore-input.ts';
import { chainName, temporarySetName } from '../dataplane/names.ts';
import { cidrOf, knownIp } from '../lib/ip.ts';
import type { IpAddress, IpFamily } from '../lib/ip.ts';

export interface Feature {
  /** `match set`, `target REJECT`, as iptables names it. */
  readonly name: string;
  readonly table: TableName;
  readonly chain: Chain;
}

/** The chain that is made and removed again. */
export const preflightChain = chainName('cali-preflight');

/** What will be written besides policies. */
export interface PreflightScope {
  /** Services will be served. */
  readonly services: boolean;
  /** Pods' packets that leave the cluster will be masqueraded. */
  readonly natOutgoing?: boolean;
}

export function preflightFeatures(family: IpFamily, { services, natOutgoing }: PreflightScope): readonly Feature[] {
  return [
    ...policyFeatures(family),
    ...(services ? serviceFeatures(family) : []),
    ...(natOutgoing === true ? natOutgoingFeatures(family) : []),
  ];
}

/** Makes the chain with the rules of `features`, all of `table`, and removes it again. */
export function trialWrites(family: IpFamily, table: TableName, features: readonly Feature[]): readonly TableWrite[] {
  const place = { family, table } as const;
  const written = (['cali', 'kube'] as const).flatMap((style): readonly TableWrite[] => {
    const rules = features.filter(({ chain }) => chain.style === style).flatMap(({ chain }) => chain.rules);
    if (rules.length === 0) return [];
    return [{ kind: 'write-chains', ...place, chains: [{ name: preflightChain, style, rules }] }];
  });
  return [...written, { kind: 'remove-chains', ...place, names: [preflightChain] }];
}

function natOutgoingFeatures(family: IpFamily): readonly Feature[] {
  const set: Match = { kind: 'ipset', set: temporarySetName(9, family), sides: ['source'] };
  return [
    feature('match set', 'nat', { kind: 'none' }, [set]),
    feature('target MASQUERADE (--random-fully)', 'nat', { kind: 'masquerade', randomFully: true }, []),
  ];
}

function policyFeatures(family: IpFamily): readonly Feature[] {
  const set: Match = { kind: 'ipset', set: temporarySetName(9, family), sides: ['source'] };
  const mark: Match = { kind: 'mark', value: 0x10000, mask: 0x10000 };
  const ports: Match = { kind: 'ports', side: 'destination', ports: [{ first: 1, last: 2 }] };
  const physdev: Match = { kind: 'interface', direction: 'in', name: 'cali0', physical: true };
  const local: Match = { kind: 'addrtype', side: 'source', type: 'LOCAL', negate: true };
  const states: Match = { kind: 'ctstate', states: ['RELATED', 'ESTABLISHED'] };
  const drop: Action = { kind: 'drop' };
  const filter = (name: string, action: Action, ...matches: readonly Match[]): Feature =>
    feature(name, 'filter', action, matches);
  return [
    filter('match set', drop, set),
    filter('match conntrack', drop, states),
    filter('match conntrack (--ctdir)', drop, { kind: 'ctdir', direction: 'REPLY' }),
    filter('match mark', drop, mark),
    filter('match addrtype', drop, local),
    filter('match physdev', drop, physdev),
    ...(['tcp', 'udp', 'sctp'] as const).map((protocol) =>
      filter(`match multiport (${protocol})`, drop, { kind: 'protocol', protocol }, ports),
    ),
    ...(family === 'ipv6'
      ? [filter('match icmp6', drop, { kind: 'protocol', protocol: 'ipv6-icmp' }, { kind: 'icmpv6-type', type: 135 })]
      : []),
    filter('target MARK', { kind: 'set-mark', value: 0x10000, mask: 0x10000 }),
    feature('match set', 'raw', drop, [set]),
    feature('match physdev', 'raw', drop, [physdev]),
    feature('match set', 'mangle', drop, [set]),
    feature('match conntrack', 'mangle', drop, [states]),
    feature('match addrtype', 'mangle', drop, [local]),
    feature('match mark', 'mangle', drop, [mark]),
  ];
}

function serviceFeatures(family: IpFamily): readonly Feature[] {
  const address = anAddress(family);
  const nat = (name: string, action: Action, ...matches: readonly Match[]): Feature =>
    feature(name, 'nat', action, matches);
  const protocols = (['tcp', 'udp', 'sctp'] as const).map((protocol) =>
    inKubeStyle(
      nat(
        `match ${protocol}`,
        { kind: 'none' },
        { kind: 'protocol', protocol },
        { kind: 'port', side: 'destination', port: 1 },
      ),
    ),
  );
  return [
    ...protocols,
    feature('target REJECT', 'filter', { kind: 'reject' }, []),
    nat('target DNAT', { kind: 'dnat', address, port: 1 }, { kind: 'protocol', protocol: 'tcp' }),
    nat('target MASQUERADE (--random-fully)', { kind: 'masquerade', randomFully: true }),
    nat('target MARK (--xor-mark)', { kind: 'xor-mark', value: 0x4000 }),
    nat('match statistic', { kind: 'none' }, { kind: 'probability', probability: 0.5 }),
    nat('match recent', { kind: 'none' }, { kind: 'recent-set', list: preflightChain }),
    nat('match addrtype', { kind: 'none' }, { kind: 'addrtype', side: 'destination', type: 'LOCAL' }),
    nat('match address', { kind: 'none' }, { kind: 'address', side: 'source', cidr: cidrOf(address, 8) }),
  ];
}

function feature(name: string, table: TableName, action: Action, matches: readonly Match[]): Feature {
  const rule: Rule = { matches, action, comments: ['preflight'], origin: {} };
  return { name, table, chain: { name: preflightChain, style: 'cali', rules: [rule] } };
}

/** In kube-proxy's spelling, which names the protocol's own match. */
function inKubeStyle({ chain, ...rest }: Feature): Feature {
  return { ...rest, chain: { ...chain, style: 'kube' } };
}

function anAddress(family: IpFamily): IpAddress {
  return knownIp(family === 'ipv4' ? '192.0.2.1' : '2001:db8::1');
}
