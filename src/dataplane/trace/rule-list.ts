/** A list of rules made ready for many packets: tests compiled, rules that cannot match left out by one lookup. */
import { bitsOf } from '../../lib/ip.ts';
import type { Match, Rule } from '../rule.ts';
import type { Flight } from './flight.ts';
import type { MatchContext, Test } from './match.ts';
import { compileMatch } from './match.ts';

export interface CompiledRule {
  readonly rule: Rule;
  /** 0-based place in its chain. */
  readonly index: number;
  readonly tests: readonly Test[];
}

/** An exact condition by which rules are told apart: dispatch by interface, Services by address, nodePorts by port. */
type Discriminator = 'in' | 'in-port' | 'out' | 'out-port' | 'source' | 'destination' | 'port';

const discriminators: readonly Discriminator[] = ['in', 'in-port', 'out', 'out-port', 'source', 'destination', 'port'];

/** Below this a lookup costs as much as it saves. */
const smallestIndexed = 6;

export class RuleList {
  readonly #all: readonly CompiledRule[];
  readonly #discriminator: Discriminator | undefined;
  readonly #byKey = new Map<string, readonly CompiledRule[]>();
  #others: readonly CompiledRule[] = [];

  constructor(rules: readonly Rule[], context: MatchContext) {
    this.#all = rules.map((rule, index) => ({
      rule,
      index,
      tests: rule.matches.map((match) => compileMatch(match, context)),
    }));
    this.#discriminator = rules.length < smallestIndexed ? undefined : bestDiscriminator(rules);
    if (this.#discriminator !== undefined) this.#index(this.#discriminator);
  }

  /** The rules that could match, in order. A walk through them ends as a walk through all would. */
  candidates(flight: Flight): readonly CompiledRule[] {
    if (this.#discriminator === undefined) return this.#all;
    const key = flightKey(flight, this.#discriminator);
    return (key === undefined ? undefined : this.#byKey.get(key)) ?? this.#others;
  }

  #index(discriminator: Discriminator): void {
    const keys = this.#all.map(({ rule }) => ruleKey(rule, discriminator));
    const present = new Map<string, CompiledRule[]>();
    const others: CompiledRule[] = [];
    this.#all.forEach((compiled, index) => {
      const key = keys[index];
      if (key === undefined) others.push(compiled);
      else if (present.has(key)) present.get(key)?.push(compiled);
      else present.set(key, [compiled]);
    });
    this.#others = others;
    for (const [key, own] of present) this.#byKey.set(key, mergeInOrder(own, others));
  }
}

/** Two lists, each in order. */
function mergeInOrder(left: readonly CompiledRule[], right: readonly CompiledRule[]): readonly CompiledRule[] {
  return [...left, ...right].sort((one, other) => one.index - other.index);
}

function bestDiscriminator(rules: readonly Rule[]): Discriminator | undefined {
  let best: Discriminator | undefined;
  let most = smallestIndexed - 1;
  for (const discriminator of discriminators) {
    const count = rules.filter((rule) => ruleKey(rule, discriminator) !== undefined).length;
    if (count > most) [best, most] = [discriminator, count];
  }
  return best;
}

function ruleKey(rule: Rule, discriminator: Discriminator): string | undefined {
  for (const match of rule.matches) {
    const key = matchKey(match, discriminator);
    if (key !== undefined) return key;
  }
  return undefined;
}

function matchKey(match: Match, discriminator: Discriminator): string | undefined {
  if ('negate' in match && match.negate) return undefined;
  switch (match.kind) {
    case 'interface': {
      const own = match.physical === true ? `${match.direction}-port` : match.direction;
      return own === discriminator && !match.name.endsWith('+') ? match.name : undefined;
    }
    case 'address':
      return match.side === discriminator && match.cidr.prefixLength === bitsOf(match.cidr.family)
        ? match.cidr.address
        : undefined;
    case 'port':
      return discriminator === 'port' && match.side === 'destination' ? String(match.port) : undefined;
    default:
      return undefined;
  }
}

function flightKey(flight: Flight, discriminator: Discriminator): string | undefined {
  switch (discriminator) {
    case 'in':
      return flight.inInterface;
    case 'in-port':
      return flight.inPort;
    case 'out':
      return flight.outInterface;
    case 'out-port':
      return flight.outPort;
    case 'port':
      return flight.destinationPort === undefined ? undefined : String(flight.destinationPort);
    default:
      return flight[discriminator];
  }
}
