/** The writer's picture of the kernel: replaced by reads, carried on by successful writes. */
import { unreachable } from '../lib/unreachable.ts';
import type { IpFamily } from '../lib/ip.ts';
import type { HookWrite, KernelWrite, SetWrite } from './kernel-write.ts';
import type { CoveredChain } from './leftovers.ts';
import { isAsLeft } from './leftovers.ts';
import { kernelMembers } from './restore-input.ts';
import type { ObservedChain, ObservedDataplane, ObservedHook, ObservedPart, ObservedSet } from './observed.ts';
import { identifyHook } from './observed.ts';
import type { BuiltinChain, Chain, IpSet, TableName } from './rule.ts';
import { maxElements } from './set-size.ts';

interface MutableTable {
  chains: Map<string, ObservedChain>;
  hooks: Map<BuiltinChain, readonly ObservedHook[]>;
}

interface MutableSet extends ObservedSet {
  readonly members: Set<string>;
}

export class ObservedStore implements ObservedDataplane {
  readonly tables: Record<IpFamily, Record<TableName, MutableTable>> = { ipv4: emptyTables(), ipv6: emptyTables() };
  readonly #ipSets = new Map<string, MutableSet>();

  get ipSets(): ReadonlyMap<string, ObservedSet> {
    return this.#ipSets;
  }

  /** `covered`: chains with old rules below; where they are found as they were left, that is what is known of them. */
  replace(part: ObservedPart, covered: readonly CoveredChain[] = []): void {
    for (const { family, table, content } of part.tables) {
      this.tables[family][table] = { chains: new Map(content.chains), hooks: new Map(content.hooks) };
    }
    for (const left of covered) {
      const { chains } = this.tables[left.family][left.table];
      const { chain, below } = left;
      if (isAsLeft(left, chains.get(chain.name))) chains.set(chain.name, { kind: 'written', chain, below });
    }
    if (part.ipSets === undefined) return;
    this.#ipSets.clear();
    for (const set of part.ipSets.values()) this.#ipSets.set(set.name, { ...set, members: new Set(set.members) });
  }

  /** After a compare found it equal: from now on identity is enough. What was not read may have old rules below it still. */
  confirm(family: IpFamily, table: TableName, chain: Chain): void {
    const { chains } = this.tables[family][table];
    const found = chains.get(chain.name);
    chains.set(chain.name, found?.kind === 'written' ? { ...found, chain } : { kind: 'written', chain });
  }

  /** Carries out a write that succeeded. `kept` are the names that it had to leave. */
  apply(write: KernelWrite, kept: readonly string[] = []): void {
    switch (write.kind) {
      case 'write-sets':
        for (const set of write.sets) this.#writeSet(set);
        return;
      case 'resize-set':
        this.#ipSets.set(write.set.name, observedSet(write.set));
        return;
      case 'destroy-sets':
        for (const name of write.names) if (!kept.includes(name)) this.#ipSets.delete(name);
        return;
      case 'write-chains':
        this.#writeChains(write);
        return;
      case 'trim-chains':
        this.#trimChains(write);
        return;
      case 'remove-chains':
        for (const name of write.names) this.tables[write.family][write.table].chains.delete(name);
        return;
      case 'write-hooks':
        for (const hook of write.hooks) this.#writeHook(this.tables[write.family][write.table], hook);
        return;
      default:
        unreachable(write);
    }
  }

  /** The content of these chains is not known any more. */
  forget(family: IpFamily, table: TableName, names: readonly string[]): void {
    for (const name of names) this.tables[family][table].chains.set(name, { kind: 'unknown' });
  }

  #writeChains({ family, table, chains, covered }: Extract<KernelWrite, { kind: 'write-chains' }>): void {
    for (const chain of chains) {
      const below = covered?.get(chain.name);
      const written = { kind: 'written', chain } as const;
      this.tables[family][table].chains.set(chain.name, below === undefined ? written : { ...written, below });
    }
  }

  #trimChains({ family, table, chains }: Extract<KernelWrite, { kind: 'trim-chains' }>): void {
    for (const { name } of chains) {
      const found = this.tables[family][table].chains.get(name);
      if (found?.kind === 'written') {
        this.tables[family][table].chains.set(name, { kind: 'written', chain: found.chain });
      }
    }
  }

  #writeSet({ set, create, add, remove }: SetWrite): void {
    const known = create ? { ...observedSet(set), members: new Set<string>() } : this.#ipSets.get(set.name);
    if (known === undefined) return;
    for (const member of remove) known.members.delete(member);
    for (const member of add) known.members.add(member);
    this.#ipSets.set(set.name, known);
  }

  /** Positions below ours are somebody else's matter: only what comes before a hook counts. */
  #writeHook(table: MutableTable, { chain, deletes, inserts, appends }: HookWrite): void {
    const gone = new Set(deletes);
    const stay = (table.hooks.get(chain) ?? []).filter((hook) => !gone.has(hook.text));
    const inserted = inserts.map((text, index) => observedHook(text, index + 1));
    const shifted = stay.map((hook) => ({ ...hook, position: hook.position + inserted.length }));
    const appended = appends.map((text) => observedHook(text, Number.MAX_SAFE_INTEGER));
    table.hooks.set(chain, [...inserted, ...shifted, ...appended]);
  }
}

function observedHook(text: string, position: number): ObservedHook {
  return { position, text, ...identifyHook(text) };
}

function observedSet(set: IpSet): MutableSet {
  const { name, family, type } = set;
  return { name, family, type, maxElements: maxElements(set.members.size), members: new Set(kernelMembers(set)) };
}

function emptyTables(): Record<TableName, MutableTable> {
  return { raw: emptyTable(), mangle: emptyTable(), nat: emptyTable(), filter: emptyTable() };
}

function emptyTable(): MutableTable {
  return { chains: new Map(), hooks: new Map() };
}
