/**
 * What iptables-save prints, read for its meaning: the rules of kube-proxy and of Sluice become data of one kind, which
 * one tracer walks. An option that is not known is an error: a rule that was read in part would prove nothing.
 */
import type { Dataplane, FamilyTables } from '../../src/dataplane/dataplane.ts';
import type { ChainName } from '../../src/dataplane/names.ts';
import { chainName } from '../../src/dataplane/names.ts';
import type {
  Action,
  BuiltinChain,
  Chain,
  ConntrackState,
  Hook,
  Match,
  Rule,
  TableName,
  TransportProtocol,
} from '../../src/dataplane/rule.ts';
import type { Cidr, IpFamily } from '../../src/lib/ip.ts';
import { cidrOf, bitsOf, familyOf, parseCidr, parseIp } from '../../src/lib/ip.ts';

/** `iptables-save` and `ip6tables-save` of one node. */
export type SavedRules = Readonly<Record<IpFamily, string>>;

/** The tables that Services use. */
const tables: readonly TableName[] = ['nat', 'filter'];
const builtins: ReadonlySet<string> = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']);

/**
 * The KUBE chains and what leads to them. Policy's chains are left out: nothing is isolated in these clusters, and
 * kube-proxy has none.
 */
export function readDataplane(saved: SavedRules): Dataplane {
  return {
    ipSets: new Map(),
    tables: { ipv4: readFamily(saved.ipv4), ipv6: readFamily(saved.ipv6) },
  };
}

/** Chain to its rules as text, without `-A CHAIN`: for comparison of texts. */
export function readTexts(saved: string, table: TableName): ReadonlyMap<string, readonly string[]> {
  const chains = new Map<string, string[]>();
  for (const line of linesOf(saved, table)) {
    const declared = /^:(\S+) /.exec(line)?.[1];
    if (declared !== undefined) chains.set(declared, []);
    const [, chain, rule] = /^-A (\S+) ?(.*)$/.exec(line) ?? [];
    if (chain !== undefined && rule !== undefined) chains.get(chain)?.push(rule);
  }
  return chains;
}

function linesOf(saved: string, table: TableName): readonly string[] {
  const [, body = ''] = new RegExp(`^\\*${table}\n([\\s\\S]*?)^COMMIT$`, 'm').exec(saved) ?? [];
  return body.split('\n');
}

function readFamily(saved: string): FamilyTables {
  const chains: Record<TableName, Map<ChainName, Chain>> = {
    raw: new Map(),
    mangle: new Map(),
    nat: new Map(),
    filter: new Map(),
  };
  const hooks: Hook[] = [];
  for (const table of tables) {
    for (const [name, texts] of readTexts(saved, table)) {
      if (isBuiltin(name)) hooks.push(...readHooks(table, name, texts));
      else if (name.startsWith('KUBE-')) {
        chains[table].set(chainName(name), { name: chainName(name), style: 'kube', rules: texts.map(readRule) });
      }
    }
  }
  return { chains, hooks };
}

function isBuiltin(name: string): name is BuiltinChain {
  return builtins.has(name);
}

function readHooks(table: TableName, chain: BuiltinChain, texts: readonly string[]): readonly Hook[] {
  const own = texts.filter((text) => / -j KUBE-/.test(` ${text}`));
  return own.map((text) => ({ table, chain, position: 'first', style: 'kube', rule: readRule(text) }));
}

/** `text` is without `-A CHAIN`. */
export function readRule(text: string): Rule {
  const matches: Match[] = [];
  const comments: string[] = [];
  let action: Action = { kind: 'none' };
  for (const option of optionsOf(text)) {
    if (option.name === '--comment') comments.push(option.values[0] ?? '');
    else if (option.name === '-j' || option.name === '-g') action = readAction(option, text);
    else if (!isPartOfAnother(option.name)) matches.push(readMatch(option, text));
  }
  return { matches, action, comments, origin: { note: text } };
}

interface SavedOption {
  readonly name: string;
  readonly negated: boolean;
  readonly values: readonly string[];
  /** All options of the rule: what belongs to a target or to `-m recent` is spread over several. */
  readonly all: ReadonlyMap<string, readonly string[]>;
}

function optionsOf(text: string): readonly SavedOption[] {
  const words = (text.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []).map((word) =>
    word.startsWith('"') ? word.slice(1, -1).replaceAll(/\\(.)/g, '$1') : word,
  );
  const found: { name: string; negated: boolean; values: string[] }[] = [];
  let negated = false;
  let isComment = false;
  for (const word of words) {
    const last = found.at(-1);
    if (isComment) {
      last?.values.push(word);
      isComment = false;
    } else if (word === '!') negated = true;
    else if (word.startsWith('-')) {
      found.push({ name: word, negated, values: [] });
      negated = false;
      isComment = word === '--comment';
    } else last?.values.push(word);
  }
  const all = new Map(found.map(({ name, values }) => [name, values]));
  return found.map((option) => ({ ...option, all }));
}

/** Read together with the option that it belongs to, or without meaning here. */
function isPartOfAnother(name: string): boolean {
  return parts.has(name);
}

const parts: ReadonlySet<string> = new Set([
  '-m',
  '--name',
  '--seconds',
  '--reap',
  '--mask',
  '--rsource',
  '--mode',
  '--to-destination',
  '--random-fully',
  '--set-xmark',
  '--reject-with',
  // A counter: every packet matches.
  '--nfacct-name',
]);

function readMatch(option: SavedOption, text: string): Match {
  const { name, values } = option;
  const value = values[0] ?? '';
  const negate = option.negated ? { negate: true as const } : {};
  switch (name) {
    case '-p':
      return { kind: 'protocol', protocol: known(protocols.get(value), text) };
    case '-s':
    case '-d':
      return {
        kind: 'address',
        side: name === '-s' ? 'source' : 'destination',
        cidr: readCidr(value, text),
        ...negate,
      };
    case '-i':
    case '-o':
      return { kind: 'interface', direction: name === '-i' ? 'in' : 'out', name: value, ...negate };
    case '--dport':
    case '--sport':
      return readPort(name, value, text);
    case '--dports':
      return { kind: 'ports', side: 'destination', ports: value.split(',').map(range), ...negate };
    case '--ctstate':
      return { kind: 'ctstate', states: value.split(',').map((state) => known(states.get(state), text)), ...negate };
    default:
      return readRareMatch(option, text);
  }
}

function readPort(name: string, value: string, text: string): Match {
  if (!/^\d+$/.test(value)) throw new Error(`port ${value} is not known: ${text}`);
  return { kind: 'port', side: name === '--dport' ? 'destination' : 'source', port: Number(value) };
}

function readRareMatch({ name, values, negated, all }: SavedOption, text: string): Match {
  const value = values[0] ?? '';
  const negate = negated ? { negate: true as const } : {};
  switch (name) {
    case '--mark': {
      const [bits = 0, mask = 0xffffffff] = value.split('/').map(Number);
      return { kind: 'mark', value: bits, mask, ...negate };
    }
    case '--src-type':
    case '--dst-type': {
      if (value !== 'LOCAL') throw new Error(`type ${value} is not known: ${text}`);
      return { kind: 'addrtype', side: name === '--src-type' ? 'source' : 'destination', type: 'LOCAL', ...negate };
    }
    case '--probability':
      return { kind: 'probability', probability: simplest(Number(value)) };
    case '--rcheck':
      return { kind: 'recent-check', list: first(all, '--name'), seconds: Number(first(all, '--seconds')) };
    case '--set':
      return { kind: 'recent-set', list: first(all, '--name') };
    default:
      throw new Error(`option ${name} is not known: ${text}`);
  }
}

function readAction({ name, values, all }: SavedOption, text: string): Action {
  const target = values[0] ?? '';
  if (target.startsWith('KUBE-')) return { kind: name === '-g' ? 'goto' : 'jump', chain: chainName(target) };
  switch (target) {
    case 'ACCEPT':
      return { kind: 'accept' };
    case 'DROP':
      return { kind: 'drop' };
    case 'REJECT':
      return { kind: 'reject' };
    case 'RETURN':
      return { kind: 'return' };
    case 'MARK':
      return readMark(first(all, '--set-xmark'));
    case 'MASQUERADE':
      return { kind: 'masquerade', randomFully: all.has('--random-fully') };
    case 'DNAT': {
      const [, host = '', port = ''] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(first(all, '--to-destination')) ?? [];
      return { kind: 'dnat', address: known(parseIp(host), text), port: Number(port) };
    }
    default:
      throw new Error(`target ${target} is not known: ${text}`);
  }
}

/** `--set-xmark V/M` clears M and flips V. */
function readMark(text: string): Action {
  const [value = 0, mask = 0xffffffff] = text.split('/').map(Number);
  if (mask === 0) return { kind: 'xor-mark', value };
  if ((value & mask) >>> 0 !== value) throw new Error(`--set-xmark ${text} sets bits outside its mask`);
  return { kind: 'set-mark', value, mask };
}

function readCidr(text: string, rule: string): Cidr {
  const address = parseIp(text);
  if (address !== undefined) return cidrOf(address, bitsOf(familyOf(address)));
  return known(parseCidr(text), rule);
}

function range(text: string): { readonly first: number; readonly last: number } {
  const [from = 0, to = from] = text.split(':').map(Number);
  return { first: from, last: to };
}

const protocols = new Map<string, TransportProtocol>(
  (['tcp', 'udp', 'sctp'] as const).map((protocol) => [protocol, protocol]),
);

const states = new Map<string, ConntrackState>(
  (['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED', 'DNAT', 'SNAT'] as const).map((state) => [state, state]),
);

/** The kernel keeps 1/3 as 715827883 / 2^31: the fraction that was meant is the simplest one that is stored so. */
function simplest(probability: number): number {
  for (let denominator = 1; denominator <= 2000; denominator += 1) {
    const numerator = Math.round(probability * denominator);
    if (Math.abs(numerator / denominator - probability) < 5e-10) return numerator / denominator;
  }
  return probability;
}

function first(all: ReadonlyMap<string, readonly string[]>, name: string): string {
  const value = all.get(name)?.[0];
  if (value === undefined) throw new Error(`${name} has no value`);
  return value;
}

function known<Value>(value: Value | undefined, text: string): Value {
  if (value === undefined) throw new Error(`a value is not known: ${text}`);
  return value;
}
