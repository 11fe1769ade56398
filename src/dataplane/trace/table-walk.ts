/** One table at one hook, as the kernel walks it. */
import type { IpFamily } from '../../lib/ip.ts';
import { unreachable } from '../../lib/unreachable.ts';
import type { Dataplane, FamilyTables } from '../dataplane.ts';
import type { ChainName } from '../names.ts';
import type { Action, BuiltinChain, Chain, ChainStyle, Hook, Rule, TableName } from '../rule.ts';
import type { Flight } from './flight.ts';
import type { MatchContext } from './match.ts';
import type { Packet } from './packet.ts';
import type { CompiledRule } from './rule-list.ts';
import { RuleList } from './rule-list.ts';
import type { TraceStep, Verdict } from './step.ts';

/** Where a walk is, and where its steps go. */
export interface WalkPlace {
  readonly table: TableName;
  readonly hook: BuiltinChain;
  /** Absent: nobody asked for the steps. */
  readonly path?: TraceStep[];
}

interface ListOfRules {
  readonly name: string;
  readonly rules: readonly Rule[];
  readonly list: RuleList;
  /** Of each rule. */
  readonly styles: readonly ChainStyle[];
  readonly hashed: readonly Rule[];
}

/** `end`: no rule decided; `return`: a rule said RETURN, or a chain that was gone to ended. */
type ChainResult = Verdict | 'return' | 'end';

/** The kernel refuses loops; this only ends the walk of data that it would refuse. */
const deepest = 64;

/** One family's tables. Chains are compiled when first met, and again when the dataplane has another object for them. */
export class TableWalker {
  readonly #dataplane: Dataplane;
  readonly #family: IpFamily;
  readonly #context: MatchContext;
  readonly #tables: FamilyTables['chains'];
  readonly #chains = new WeakMap<Chain, ListOfRules>();
  readonly #builtins = new Map<string, readonly ListOfRules[]>();
  #builtinsOf: readonly Hook[] | undefined;

  constructor(dataplane: Dataplane, family: IpFamily, context: MatchContext) {
    this.#dataplane = dataplane;
    this.#family = family;
    this.#context = context;
    this.#tables = dataplane.tables[family].chains;
  }

  /** The table's verdict; undefined where nothing decided, which is the policy ACCEPT. */
  walk(place: WalkPlace, flight: Flight): Verdict | undefined {
    const lists = this.#builtin(place);
    for (const list of lists) {
      const result = this.#walkList(list, place, flight, 0);
      if (result === 'return') return undefined;
      if (result !== 'end') return result;
    }
    const last = lists.at(-1);
    if (last !== undefined) place.path?.push({ ...stepPlace(last, place), kind: 'end', before: flight.snapshot() });
    return undefined;
  }

  #walkList(list: ListOfRules, place: WalkPlace, flight: Flight, depth: number): ChainResult {
    if (depth > deepest) throw new Error(`chains of table ${place.table} lead back to ${list.name}`);
    for (const compiled of list.list.candidates(flight)) {
      if (!compiled.tests.every((test) => test(flight))) continue;
      const before = place.path === undefined ? undefined : flight.snapshot();
      applyToPacket(compiled.rule.action, flight);
      if (before !== undefined) place.path?.push(ruleStep(list, compiled, place, { before, after: flight.snapshot() }));
      const result = this.#follow(compiled.rule.action, place, flight, depth);
      if (result !== 'end') return result;
    }
    if (depth > 0) place.path?.push({ ...stepPlace(list, place), kind: 'end', before: flight.snapshot() });
    return 'end';
  }

  /** `end`: the walk goes on behind the rule. */
  #follow(action: Action, place: WalkPlace, flight: Flight, depth: number): ChainResult {
    switch (action.kind) {
      case 'accept':
      case 'dnat':
        return 'accept';
      case 'masquerade':
        return flight.egressAddress === undefined ? 'drop' : 'accept';
      case 'drop':
      case 'reject':
      case 'return':
        return action.kind;
      case 'jump': {
        const result = this.#walkList(this.#chain(place.table, action.chain), place, flight, depth + 1);
        return result === 'return' ? 'end' : result;
      }
      case 'goto': {
        const result = this.#walkList(this.#chain(place.table, action.chain), place, flight, depth + 1);
        return result === 'end' ? 'return' : result;
      }
      default:
        return 'end';
    }
  }

  #builtin({ table, hook }: WalkPlace): readonly ListOfRules[] {
    const { hooks } = this.#dataplane.tables[this.#family];
    if (hooks !== this.#builtinsOf) {
      this.#builtins.clear();
      this.#builtinsOf = hooks;
    }
    const key = `${table} ${hook}`;
    const known = this.#builtins.get(key);
    if (known !== undefined) return known;
    const own = hooks.filter((candidate) => candidate.table === table && candidate.chain === hook);
    const made = [...this.#hookLists(hook, own, 'first'), ...this.#hookLists(hook, own, 'last')];
    this.#builtins.set(key, made);
    return made;
  }

  #hookLists(name: BuiltinChain, hooks: readonly Hook[], position: Hook['position']): readonly ListOfRules[] {
    const own = hooks.filter((hook) => hook.position === position);
    if (own.length === 0) return [];
    const rules = own.map(({ rule }) => rule);
    const styles = own.map(({ style }) => style);
    const hashed = own.filter(({ style }) => style === 'cali').map(({ rule }) => rule);
    return [{ name, rules, list: new RuleList(rules, this.#context), styles, hashed }];
  }

  #chain(table: TableName, name: ChainName): ListOfRules {
    const chain = this.#tables[table].get(name);
    if (chain === undefined) throw new Error(`a rule of table ${table} jumps to chain ${name}, which does not exist`);
    const known = this.#chains.get(chain);
    if (known !== undefined) return known;
    const { style, rules } = chain;
    const made = {
      name,
      rules,
      list: new RuleList(rules, this.#context),
      styles: rules.map(() => style),
      hashed: rules,
    };
    this.#chains.set(chain, made);
    return made;
  }
}

/** What an action does to the packet itself; where the walk goes on is `#follow`'s. */
function applyToPacket(action: Action, flight: Flight): void {
  switch (action.kind) {
    case 'set-mark':
      // iptables: --set-mark zeroes the bits of mask and of value, then ORs value in.
      flight.mark = ((flight.mark & ~(action.mask | action.value)) | action.value) >>> 0;
      return;
    case 'xor-mark':
      flight.mark = (flight.mark ^ action.value) >>> 0;
      return;
    case 'dnat':
      flight.destination = action.address;
      flight.destinationPort = action.port;
      flight.isDnat = true;
      return;
    case 'masquerade':
      if (flight.egressAddress === undefined) return;
      flight.source = flight.egressAddress;
      flight.isSnat = true;
      return;
    case 'accept':
    case 'drop':
    case 'reject':
    case 'return':
    case 'jump':
    case 'goto':
    case 'none':
      return;
    default:
      unreachable(action);
  }
}

function ruleStep(
  list: ListOfRules,
  { rule, index }: CompiledRule,
  place: WalkPlace,
  packets: { readonly before: Packet; readonly after: Packet },
): TraceStep {
  const style = list.styles[index] ?? 'cali';
  return { ...stepPlace(list, place), kind: 'rule', index, rule, style, hashed: list.hashed, ...packets };
}

function stepPlace({ name, rules }: ListOfRules, { hook, table }: WalkPlace) {
  return { hook, table, chain: name, rules };
}
