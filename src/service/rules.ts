/** Small constructors of rules, so that chains read as kube-proxy.md does. Matches that recur are shared objects: there are 100,000 rules. */
import type { Protocol } from '../cluster/objects.ts';
import { type ChainName, chainName } from '../dataplane/names.ts';
import type { Action, Match, Origin, Rule, Side } from '../dataplane/rule.ts';
import { bitsOf, type Cidr, familyOf, type IpAddress } from '../lib/ip.ts';
import type { PlannedPort } from './plan.ts';

const protocolMatches: Readonly<Record<Protocol, Match>> = {
  TCP: { kind: 'protocol', protocol: 'tcp' },
  UDP: { kind: 'protocol', protocol: 'udp' },
  SCTP: { kind: 'protocol', protocol: 'sctp' },
};

export const destinationIsLocal: Match = { kind: 'addrtype', side: 'destination', type: 'LOCAL' };
export const sourceIsLocal: Match = { kind: 'addrtype', side: 'source', type: 'LOCAL' };

/** What a rule has besides its matches and its action. */
export interface RuleText {
  readonly comment?: string;
  readonly origin: Origin;
}

type AddressMatch = Extract<Match, { kind: 'address' }>;

export function makeRule(text: RuleText, matches: readonly Match[], action: Action): Rule {
  const comments = text.comment === undefined ? noComments : [text.comment];
  return { matches, action, comments, origin: text.origin };
}

export function protocolIs(protocol: Protocol): Match {
  return protocolMatches[protocol];
}

export function addressIs(side: Side, address: IpAddress): AddressMatch {
  return cidrIs(side, hostCidr(address));
}

export function cidrIs(side: Side, cidr: Cidr): AddressMatch {
  return { kind: 'address', side, cidr };
}

export function destinationPort(port: number): Match {
  return { kind: 'port', side: 'destination', port };
}

/** The protocol, the address and the port of one frontend, in kube-proxy's order. */
export function frontendIs(protocol: Protocol, address: IpAddress, port: number): readonly Match[] {
  return [protocolIs(protocol), addressIs('destination', address), destinationPort(port)];
}

export function jump(chain: ChainName): Action {
  return { kind: 'jump', chain };
}

export const markMasqueradeChain = chainName('KUBE-MARK-MASQ');
/** Jump here to have the packet masqueraded on its way out. */
export const jumpToMarkMasquerade: Action = jump(markMasqueradeChain);

/** A rule that a service port asked for, and why. */
export function originOf(port: PlannedPort, serviceObject: string, note: string): Origin {
  return { object: serviceObject, path: port.path, note };
}

/** The one address as a CIDR. */
export function hostCidr(address: IpAddress): Cidr {
  const family = familyOf(address);
  return { family, address, prefixLength: bitsOf(family) };
}

const noComments: readonly string[] = [];
