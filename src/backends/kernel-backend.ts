/** The kernel through iptables and ipset. */
import type { Dataplane } from '../dataplane/dataplane.ts';
import type { KernelWrite } from '../dataplane/kernel-write.ts';
import type { IpSetName } from '../dataplane/names.ts';
import type { ObservedHook, ObservedPart } from '../dataplane/observed.ts';
import type { PieceLimits } from '../dataplane/pieces.ts';
import { legacyPieces, nftPieces } from '../dataplane/pieces.ts';
import type { TableName } from '../dataplane/rule.ts';
import type { Section } from '../dataplane/section.ts';
import type { IpFamily } from '../lib/ip.ts';
import { unreachable } from '../lib/unreachable.ts';
import type { ApplyResult, Backend, HookPlace, ReadScope } from './backend.ts';
import type { IpSetsOptions } from './ipset/ip-sets.ts';
import { IpSets } from './ipset/ip-sets.ts';
import type { IptablesOptions } from './iptables/iptables.ts';
import { Iptables } from './iptables/iptables.ts';
import type { TableView } from './table-view.ts';

export class KernelBackend implements Backend {
  readonly pieces: PieceLimits;
  readonly #iptables: Iptables;
  readonly #ipSets: IpSets;

  constructor(options: IptablesOptions & IpSetsOptions) {
    this.pieces = options.variant === 'nft' ? nftPieces : legacyPieces;
    this.#iptables = new Iptables(options);
    this.#ipSets = new IpSets(options);
  }

  async read({ tables, ipSets }: ReadScope, isFirst = false): Promise<ObservedPart> {
    if (!ipSets) return { tables: await this.#iptables.read(tables, isFirst) };
    const [read, sets] = await Promise.all([this.#iptables.read(tables, isFirst), this.#ipSets.read()]);
    return { tables: read, ipSets: sets };
  }

  /** Sets first: a chain that somebody deleted with its sets cannot be written before them. */
  async *readSections(wanted: () => Dataplane): AsyncGenerator<Section, void, void> {
    yield* this.#ipSets.readSections(wanted);
    yield* this.#iptables.readSections(wanted);
  }

  readHooks(place: HookPlace): Promise<readonly ObservedHook[]> {
    return this.#iptables.readHooks(place);
  }

  /** As they are now, beside the writer; what a foreign program does to chains of its own does not show. */
  view(tables: readonly TableName[]): Promise<readonly TableView[]> {
    return this.#iptables.view(tables);
  }

  readSetCounts(known: IpSetName): Promise<ReadonlyMap<string, number>> {
    return this.#ipSets.readCounts(known);
  }

  /** Whether the kernel takes the text of transactions that leave nothing behind; undefined: run a program to know. */
  attempt(family: IpFamily, text: string): Promise<boolean | undefined> {
    return this.#iptables.attempt(family, text);
  }

  prepare(write: KernelWrite): void {
    if ('table' in write) this.#iptables.prepare(write);
  }

  async apply(write: KernelWrite): Promise<ApplyResult> {
    switch (write.kind) {
      case 'write-sets':
      case 'resize-set':
      case 'destroy-sets':
        return this.#ipSets.apply(write);
      case 'write-chains':
      case 'trim-chains':
      case 'remove-chains':
      case 'write-hooks':
        await this.#iptables.apply(write);
        return { kept: [] };
      default:
        return unreachable(write);
    }
  }
}
