/** Conditions of rules, each made into a test once. */
import type { Cidr } from '../../lib/ip.ts';
import { bitsOf, cidrContains, ipToInteger, parseCidr } from '../../lib/ip.ts';
import { unreachable } from '../../lib/unreachable.ts';
import type { ConntrackState, Match, Side } from '../rule.ts';
import type { AddressNumbers, Flight } from './flight.ts';
import { protocolNumber } from './packet.ts';
import type { SetLookup } from './set-lookup.ts';
import { shareOf } from './share.ts';

export type Test = (flight: Flight) => boolean;

/** What the tests of one node look things up in. */
export interface MatchContext {
  readonly sets: SetLookup;
  readonly numbers: AddressNumbers;
  isLocal(address: Flight['source']): boolean;
}

/** `match` as a function of the packet. */
export function compileMatch(match: Match, context: MatchContext): Test {
  const test = positiveTest(match, context);
  if (!('negate' in match && match.negate)) return test;
  // multiport says no to a packet without ports, negated or not
  if (match.kind === 'ports') return (flight) => flight.port(match.side) !== undefined && !test(flight);
  return (flight) => !test(flight);
}

function positiveTest(match: Match, context: MatchContext): Test {
  switch (match.kind) {
    case 'protocol': {
      const wanted = protocolNumber(match.protocol);
      return (flight) => flight.protocolNumber === wanted;
    }
    case 'address':
      return addressTest(match.side, match.cidr, context.numbers);
    case 'ports':
      return (flight) => {
        const port = flight.port(match.side);
        return port !== undefined && match.ports.some((range) => port >= range.first && port <= range.last);
      };
    case 'port':
      return (flight) => flight.port(match.side) === match.port;
    case 'ipset':
      return (flight) => context.sets.has(match.set, match.sides, flight);
    case 'mark':
      return (flight) => (flight.mark & match.mask) >>> 0 === match.value >>> 0;
    case 'ctstate':
      return (flight) => match.states.some((state) => hasState(flight, state));
    case 'ctdir':
      return (flight) => hasConntrack(flight) && flight.direction === match.direction;
    case 'interface':
      return interfaceTest(match);
    case 'addrtype':
      return addressTypeTest(match.side, match.type, context);
    case 'icmpv6-type':
      return (flight) => flight.protocolNumber === 58 && flight.icmpType === match.type;
    case 'probability':
      return probabilityTest(match.probability);
    case 'recent-check':
      return (flight) => flight.recent?.has(match.list) === true;
    case 'recent-set':
      return () => true; // it writes its list and always matches; a trace writes nothing
    default:
      return unreachable(match);
  }
}

function addressTest(side: Side, cidr: Cidr, numbers: AddressNumbers): Test {
  const shift = bitsOf(cidr.family) - cidr.prefixLength;
  if (shift === 0) return (flight) => flight.address(side) === cidr.address;
  if (cidr.family === 'ipv6') {
    const wanted = ipToInteger(cidr.address) >> BigInt(shift);
    return (flight) => flight.family === 'ipv6' && numbers.ipv6(flight.address(side)) >> BigInt(shift) === wanted;
  }
  if (shift === 32) return (flight) => flight.family === 'ipv4';
  const wanted = Number(ipToInteger(cidr.address)) >>> shift;
  return (flight) => flight.family === 'ipv4' && numbers.ipv4(flight.address(side)) >>> shift === wanted;
}

/** Before conntrack, and for a packet it cannot make sense of, there is no connection. */
function hasConntrack(flight: Flight): boolean {
  return flight.isTracked && flight.state !== 'INVALID' && flight.state !== 'UNTRACKED';
}

function hasState(flight: Flight, state: ConntrackState): boolean {
  if (state === 'DNAT') return hasConntrack(flight) && flight.isDnat;
  if (state === 'SNAT') return hasConntrack(flight) && flight.isSnat;
  return (flight.isTracked ? flight.state : 'INVALID') === state;
}

function interfaceTest({ direction, name, physical }: Extract<Match, { kind: 'interface' }>): Test {
  const actual = interfaceReader(direction, physical === true);
  if (!name.endsWith('+')) return (flight) => actual(flight) === name;
  const prefix = name.slice(0, -1);
  return (flight) => actual(flight)?.startsWith(prefix) === true;
}

function interfaceReader(direction: 'in' | 'out', isPhysical: boolean): (flight: Flight) => string | undefined {
  if (direction === 'in') return isPhysical ? (flight) => flight.inPort : (flight) => flight.inInterface;
  return isPhysical ? (flight) => flight.outPort : (flight) => flight.outInterface;
}

const multicast = [parseCidr('224.0.0.0/4'), parseCidr('ff00::/8')];

function addressTypeTest(side: Side, type: 'LOCAL' | 'MULTICAST' | 'BROADCAST', context: MatchContext): Test {
  switch (type) {
    case 'LOCAL':
      return (flight) => context.isLocal(flight.address(side));
    case 'MULTICAST':
      return (flight) => multicast.some((cidr) => cidr !== undefined && cidrContains(cidr, flight.address(side)));
    case 'BROADCAST':
      return (flight) => flight.address(side) === '255.255.255.255';
    default:
      return unreachable(type);
  }
}

function probabilityTest(probability: number): Test {
  const share = shareOf(probability);
  return (flight) => {
    if (flight.choices === undefined) throw new Error('a rule with a probability was met outside everyBranch');
    return flight.choices.take(share);
  };
}
