/** The chains and rules that are the same whatever the Services: masquerade, forwarding, and the jump to the nodePorts (kube-proxy.md 1.3, 1.5). */
import { masqueradeMark } from '../dataplane/marks.ts';
import { type ChainName, chainName } from '../dataplane/names.ts';
import type { Chain, Match, Rule, TableName } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import { hasLocalnetFirewall } from './hooks.ts';
import { answersEverywhere, loopbackOf, nodePortAddressesOf } from './nodeport-addresses.ts';
import type { ServiceOptions } from './options.ts';
import { addressIs, cidrIs, destinationIsLocal, jump, makeRule } from './rules.ts';

export interface TableChain {
  readonly table: TableName;
  readonly chain: Chain;
}

/** Everything but the dispatch chains. */
export function fixedChains(options: ServiceOptions, family: IpFamily): readonly TableChain[] {
  const chains = [markMasquerade, postrouting, forward(options)];
  return hasLocalnetFirewall(options, family) ? [...chains, localnetFirewall()] : chains;
}

/** The end of nat KUBE-SERVICES. */
export function nodePortJumps(options: ServiceOptions, family: IpFamily): readonly Rule[] {
  const text = {
    comment: 'kubernetes service nodeports; NOTE: this must be the last rule in this chain',
    origin: { note: 'addressed to the node itself: perhaps a nodePort' },
  };
  return nodePortMatches(options, family).map((matches) => makeRule(text, matches, jump(nodePortsChain)));
}

export const nodePortsChain: ChainName = chainName('KUBE-NODEPORTS');

/** One rule for each element: all local addresses at once, or the chosen ones one by one. */
function nodePortMatches(options: ServiceOptions, family: IpFamily): readonly (readonly Match[])[] {
  if (!answersEverywhere(options, family)) {
    const addresses = nodePortAddressesOf(options, family);
    return addresses.map((address) => [addressIs('destination', address)]);
  }
  const loopback: Match = { ...cidrIs('destination', loopbackOf(family)), negate: true };
  return [hasLocalnetFirewall(options, family) ? [destinationIsLocal] : [destinationIsLocal, loopback]];
}

const markMasquerade: TableChain = {
  table: 'nat',
  chain: {
    name: chainName('KUBE-MARK-MASQ'),
    style: 'kube',
    rules: [
      makeRule({ origin: { note: 'marks the packet for masquerade in KUBE-POSTROUTING' } }, [], {
        kind: 'set-mark',
        value: masqueradeMark,
        mask: masqueradeMark,
      }),
    ],
  },
};

const isMarked = { kind: 'mark', value: masqueradeMark, mask: masqueradeMark } as const satisfies Match;

const postrouting: TableChain = {
  table: 'nat',
  chain: {
    name: chainName('KUBE-POSTROUTING'),
    style: 'kube',
    rules: [
      makeRule({ origin: { note: 'not marked for masquerade' } }, [{ ...isMarked, negate: true }], { kind: 'return' }),
      makeRule({ origin: { note: 'clears the mark, so that a second pass does not masquerade again' } }, [], {
        kind: 'xor-mark',
        value: masqueradeMark,
      }),
      makeRule(
        {
          comment: 'kubernetes service traffic requiring SNAT',
          origin: { note: 'the client is hidden behind an address of this node' },
        },
        [],
        { kind: 'masquerade', randomFully: true },
      ),
    ],
  },
};

function forward(options: ServiceOptions): TableChain {
  const invalid = makeRule({ origin: { note: 'conntrack does not know this packet' } }, [ctstate('INVALID')], {
    kind: 'drop',
  });
  const marked = makeRule(
    { comment: 'kubernetes forwarding rules', origin: { note: 'Service traffic that is to be masqueraded' } },
    [isMarked],
    { kind: 'accept' },
  );
  const established = makeRule(
    {
      comment: 'kubernetes forwarding conntrack rule',
      origin: { note: 'belongs to a connection that was let through' },
    },
    [ctstate('RELATED', 'ESTABLISHED')],
    { kind: 'accept' },
  );
  const rules = options.conntrackLiberal ? [marked, established] : [invalid, marked, established];
  return { table: 'filter', chain: { name: chainName('KUBE-FORWARD'), style: 'kube', rules } };
}

/** A neighbour must not reach what listens on localhost, which route_localnet would let it. */
function localnetFirewall(): TableChain {
  const loopback = loopbackOf('ipv4');
  const matches: readonly Match[] = [
    cidrIs('destination', loopback),
    { ...cidrIs('source', loopback), negate: true },
    { ...ctstate('RELATED', 'ESTABLISHED', 'DNAT'), negate: true },
  ];
  const text = {
    comment: 'block incoming localnet connections',
    origin: { note: 'to 127.0.0.0/8 from another machine' },
  };
  const rules = [makeRule(text, matches, { kind: 'drop' })];
  return { table: 'filter', chain: { name: chainName('KUBE-FIREWALL'), style: 'kube', rules } };
}

type ConntrackMatch = Extract<Match, { kind: 'ctstate' }>;

function ctstate(...states: ConntrackMatch['states']): ConntrackMatch {
  return { kind: 'ctstate', states };
}
