/** One iptables table of the fake kernel. */

export interface TableRules {
  hasSet(name: string): boolean;
  /** Whether the kernel refuses a rule (without `-A CHAIN`). */
  refuses(rule: string): boolean;
}

const builtins: Readonly<Record<string, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};
const targets = ['ACCEPT', 'DROP', 'RETURN', 'REJECT', 'MARK', 'DNAT', 'MASQUERADE'];

export class FakeTable {
  readonly name: string;
  readonly #builtins: readonly string[];
  #chains: Map<string, readonly string[]>;

  constructor(name: string) {
    this.name = name;
    this.#builtins = builtins[name] ?? [];
    this.#chains = new Map(this.#builtins.map((chain) => [chain, []]));
  }

  /** Rules without `-A CHAIN`; undefined: no such chain. */
  chain(name: string): readonly string[] | undefined {
    return this.#chains.get(name);
  }

  get chainNames(): readonly string[] {
    return [...this.#chains.keys()];
  }

  /** As another program would change it. */
  setChain(name: string, rules: readonly string[]): void {
    this.#chains.set(name, rules);
  }

  deleteChain(name: string): void {
    this.#chains.delete(name);
  }

  refersToSet(name: string): boolean {
    return [...this.#chains.values()].flat().some((rule) => setsOf(rule).includes(name));
  }

  save(): string {
    const head = [...this.#chains.keys()].map((chain) => `:${chain} ${this.#isBuiltin(chain) ? 'ACCEPT' : '-'} [0:0]`);
    const rules = [...this.#chains].flatMap(([chain, list]) => list.map((rule) => `-A ${chain} ${rule}`));
    return [`*${this.name}`, ...head, ...rules, 'COMMIT', ''].join('\n');
  }

  /** `iptables -S CHAIN` */
  list(chain: string): string {
    const rules = this.#chains.get(chain) ?? [];
    return [`-P ${chain} ACCEPT`, ...rules.map((rule) => `-A ${chain} ${rule}`), ''].join('\n');
  }

  /** What a restore prints that is asked for chains by `-S`; it goes no further than to the first that is not there. */
  listed(input: string): string {
    const names = [...input.matchAll(/^-S (\S+)$/gm)].map(([, name = '']) => name);
    const missing = names.findIndex((name) => !this.#chains.has(name));
    return names
      .slice(0, missing < 0 ? undefined : missing)
      .map((name) => this.#describe(name))
      .join('');
  }

  #describe(name: string): string {
    const rules = (this.#chains.get(name) ?? []).map((rule) => `-A ${name} ${rule}\n`);
    return [this.#isBuiltin(name) ? `-P ${name} ACCEPT\n` : `-N ${name}\n`, ...rules].join('');
  }

  /** All or nothing; what went wrong, as iptables-nft-restore says it. */
  restore(input: string, rules: TableRules): string | undefined {
    const before = new Map(this.#chains);
    const failed = this.#restoreLines(input.split('\n'), rules);
    if (failed !== undefined) this.#chains = before;
    return failed;
  }

  #restoreLines(lines: readonly string[], rules: TableRules): string | undefined {
    for (const [index, line] of lines.entries()) {
      const problem = this.#restoreLine(line, rules);
      if (problem !== undefined) return `line ${index + 1}: ${problem}`;
    }
    return lines.includes('COMMIT') ? undefined : 'COMMIT expected';
  }

  #restoreLine(line: string, rules: TableRules): string | undefined {
    const [verb = '', chain = '', ...words] = line.split(' ');
    const rule = words.join(' ');
    if (line.startsWith(':')) this.#chains.set(verb.slice(1), []);
    else if (line === 'COMMIT') return this.#danglingJump();
    else if (verb === '-A' || verb === '-I') return this.#add(verb, chain, rule, rules);
    else if (verb === '-D') return this.#deleteRule(chain, rule);
    else if (verb === '-X') return this.#delete(chain);
    else if (verb === '-S' && !this.#chains.has(chain))
      return `chain \`${chain}' in table \`${this.name}' is incompatible`;
    return undefined;
  }

  #add(verb: '-A' | '-I', chain: string, rule: string, rules: TableRules): string | undefined {
    const before = this.#chains.get(chain);
    if (before === undefined) return `RULE_APPEND failed (No such file or directory): rule in chain ${chain}`;
    const missing = setsOf(rule).find((set) => !rules.hasSet(set));
    if (missing !== undefined) return `Set ${missing} doesn't exist.`;
    if (rules.refuses(rule)) return `RULE_APPEND failed (Invalid argument): rule in chain ${chain}`;
    this.#chains.set(chain, verb === '-A' ? [...before, rule] : [rule, ...before]);
    return undefined;
  }

  #deleteRule(chain: string, rule: string): string | undefined {
    const before = this.#chains.get(chain) ?? [];
    const index = /^\d+$/.test(rule) && Number(rule) <= before.length ? Number(rule) - 1 : before.indexOf(rule);
    if (index < 0) return `RULE_DELETE failed (No such file or directory): rule in chain ${chain}`;
    this.#chains.set(chain, before.toSpliced(index, 1));
    return undefined;
  }

  #delete(chain: string): string | undefined {
    const isReferred = [...this.#chains.values()].flat().some((rule) => targetOf(rule) === chain);
    const isFull = (this.#chains.get(chain) ?? []).length > 0;
    if (isReferred || isFull || !this.#chains.delete(chain)) {
      return `CHAIN_DEL failed (Device or resource busy): chain ${chain}`;
    }
    return undefined;
  }

  #danglingJump(): string | undefined {
    const missing = [...this.#chains.values()]
      .flat()
      .map(targetOf)
      .find((target) => target !== undefined && !targets.includes(target) && !this.#chains.has(target));
    return missing === undefined ? undefined : `Chain '${missing}' does not exist`;
  }

  #isBuiltin(chain: string): boolean {
    return this.#builtins.includes(chain);
  }
}

function targetOf(rule: string): string | undefined {
  return /(?:^| )(?:-j|-g|--jump|--goto) (\S+)/.exec(rule)?.[1];
}

function setsOf(rule: string): readonly string[] {
  return [...rule.matchAll(/--match-set (\S+)/g)].map(([, name = '']) => name);
}
