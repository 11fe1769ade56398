/** The ipsets of the fake kernel. */
import type { Argv } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';

export interface FakeSet {
  readonly type: string;
  readonly family: 'inet' | 'inet6';
  readonly maxElements: number;
  readonly members: Set<string>;
}

const types = ['hash:ip', 'hash:net', 'hash:ip,port', 'hash:ip,port,ip'];

export class FakeSets {
  readonly #sets = new Map<string, FakeSet>();
  readonly #isInUse: (name: string) => boolean;

  constructor(isInUse: (name: string) => boolean) {
    this.#isInUse = isInUse;
  }

  get names(): readonly string[] {
    return [...this.#sets.keys()];
  }

  get(name: string): FakeSet | undefined {
    return this.#sets.get(name);
  }

  has(name: string, family: 'inet' | 'inet6'): boolean {
    return this.#sets.get(name)?.family === family;
  }

  /** As another program would change it. */
  put(name: string, set: FakeSet): void {
    this.#sets.set(name, set);
  }

  run(argv: Argv, input: string): string {
    const words = argv.slice(1).filter((word) => word !== '-exist');
    if (words[0] === 'list' && words[1] === '-t') return [...this.#sets].map(describeSet).join('\n');
    if (words[0] === 'list') return [...this.#sets.keys(), ''].join('\n');
    if (words[0] !== 'restore') return this.#must(argv, words.join(' '), '');
    const lines = input.split('\n').filter((line) => line !== '');
    return lines.map((line, index) => this.#must(argv, line, `Error in line ${index + 1}: `)).join('');
  }

  #must(argv: Argv, line: string, prefix: string): string {
    const [verb = '', name = '', ...rest] = line.split(' ');
    if (verb === 'save') return this.#save(name);
    const problem = this.#change(verb, name, rest);
    if (problem === undefined) return '';
    throw new CommandError({ argv, exitCode: 1, stderr: `ipset v7.17: ${prefix}${problem}\n` });
  }

  #change(verb: string, name: string, rest: readonly string[]): string | undefined {
    switch (verb) {
      case 'create':
        return this.#create(name, rest);
      case 'add':
        return this.#add(name, rest[0] ?? '');
      case 'del':
        this.#sets.get(name)?.members.delete(rest[0] ?? '');
        return this.#sets.has(name) ? undefined : 'The set with the given name does not exist';
      case 'swap':
        return this.#swap(name, rest[0] ?? '');
      case 'destroy':
        if (this.#isInUse(name)) return 'Set cannot be destroyed: it is in use by a kernel component';
        this.#sets.delete(name);
        return undefined;
      default:
        return `Unknown command: ${verb}`;
    }
  }

  #create(name: string, [type = '', , family, , maxElements]: readonly string[]): string | undefined {
    if (!types.includes(type)) return `Syntax error: unknown settype ${type}`;
    const set = { type, family: family === 'inet6' ? 'inet6' : 'inet', maxElements: Number(maxElements) } as const;
    const known = this.#sets.get(name);
    if (known === undefined) this.#sets.set(name, { ...set, members: new Set() });
    else if (known.type !== type || known.family !== set.family || known.maxElements !== set.maxElements) {
      return 'Set cannot be created: set with the same name already exists';
    }
    return undefined;
  }

  #add(name: string, member: string): string | undefined {
    const set = this.#sets.get(name);
    if (set === undefined) return 'The set with the given name does not exist';
    if (member.endsWith('/0')) return 'The value of the CIDR parameter of the IP address is invalid';
    const address = member.replace(/,(?:tcp|udp|sctp):.*$/, '');
    if (address.includes(':') !== (set.family === 'inet6')) return `Syntax error: cannot parse ${member}`;
    if (!set.members.has(member) && set.members.size >= set.maxElements)
      return 'Hash is full, cannot add more elements';
    set.members.add(member);
    return undefined;
  }

  #swap(left: string, right: string): string | undefined {
    const [a, b] = [this.#sets.get(left), this.#sets.get(right)];
    if (a === undefined || b === undefined) return 'Sets cannot be swapped: the second set does not exist';
    if (a.type !== b.type || a.family !== b.family) return 'The sets cannot be swapped: their type does not match';
    this.#sets.set(left, b).set(right, a);
    return undefined;
  }

  #save(name: string): string {
    const set = this.#sets.get(name);
    if (set === undefined) throw new CommandError({ argv: ['ipset'], exitCode: 1, stderr: 'does not exist' });
    const head = `create ${name} ${set.type} family ${set.family} hashsize 1024 maxelem ${set.maxElements}\n`;
    return head + [...set.members].map((member) => `add ${name} ${member}\n`).join('');
  }
}

/** As `ipset list -t` prints it. */
function describeSet([name, set]: readonly [string, FakeSet]): string {
  return `Name: ${name}\nType: ${set.type}\nReferences: 0\nNumber of entries: ${set.members.size}\n`;
}
