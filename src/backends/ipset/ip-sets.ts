/** ipset: reads our sets alone, changes them by `ipset restore`, which is not atomic, so every change may be given again. */
import type { Dataplane } from '../../dataplane/dataplane.ts';
import type { KernelWrite, SetWrite } from '../../dataplane/kernel-write.ts';
import { temporarySetName } from '../../dataplane/names.ts';
import type { ObservedSet } from '../../dataplane/observed.ts';
import { parseIpSetCounts, parseIpSetSave } from '../../dataplane/observed.ts';
import { ownsIpSet } from '../../dataplane/ownership.ts';
import { ipSetLines, temporarySetLines } from '../../dataplane/restore-input.ts';
import type { IpSet } from '../../dataplane/rule.ts';
import type { Section } from '../../dataplane/section.ts';
import { unreachable } from '../../lib/unreachable.ts';
import type { ApplyResult } from '../backend.ts';
import { RefusedError } from '../backend.ts';
import type { Argv, Converse, Run } from '../exec.ts';
import { CommandError } from '../exec.ts';
import { cutBySize } from '../../lib/cut-by-size.ts';
import type { StandingProcess } from '../standing-program.ts';
import { StandingProgram } from '../standing-program.ts';

const restore: Argv = ['ipset', '-exist', 'restore'];

export type SetsWrite = Extract<KernelWrite, { kind: 'write-sets' | 'resize-set' | 'destroy-sets' }>;

export interface IpSetsOptions {
  readonly run: Run;
  /** Absent: every change is a process of its own. */
  readonly converse?: Converse;
  /** Told of a process that stays before each of its changes. */
  readonly onTransaction?: (process: StandingProcess) => void;
  /** How many members a compare in parts reads at once. */
  readonly sectionMembers?: number;
}

export class IpSets {
  readonly #run: Run;
  readonly #sectionMembers: number;
  readonly #standing: StandingProgram | undefined;
  /** False: there is a foreign set that this ipset does not know. */
  #canListAll = true;
  /** As last counted: as long as nothing changes, the text is the same. */
  #listing: { readonly text: string; readonly counts: ReadonlyMap<string, number> } = { text: '', counts: new Map() };

  constructor({ run, converse, onTransaction, sectionMembers = 20_000 }: IpSetsOptions) {
    this.#run = run;
    this.#sectionMembers = sectionMembers;
    if (converse === undefined) return;
    const told = onTransaction === undefined ? {} : { onTransaction };
    this.#standing = new StandingProgram({ converse, argv: restore, ...told });
  }

  /** Never lists everything: a foreign set that this ipset does not know would break the whole answer. */
  async read(): Promise<ReadonlyMap<string, ObservedSet>> {
    const names = await this.#readNames();
    return parseIpSetSave(names.length === 0 ? '' : await this.#save(names));
  }

  /** So many sets at once that they have about as many members as one reads in 50 ms. */
  async *readSections(wanted: () => Pick<Dataplane, 'ipSets'>): AsyncGenerator<Section, void, void> {
    const names = await this.#readNames();
    yield { kind: 'set-names', names };
    const setOf = (name: string): IpSet | undefined => {
      const sets: ReadonlyMap<string, IpSet> = wanted().ipSets;
      return sets.get(name);
    };
    const pieces = cutBySize(names, this.#sectionMembers, (name) => 1 + (setOf(name)?.members.size ?? 0));
    for (const piece of pieces) {
      const still = piece.filter((name) => setOf(name) !== undefined);
      if (still.length > 0) yield { kind: 'sets', names: still, sets: parseIpSetSave(await this.#save(still)) };
    }
  }

  async #readNames(): Promise<readonly string[]> {
    const { stdout } = await this.#run(['ipset', 'list', '-name']);
    return stdout.split('\n').filter(ownsIpSet);
  }

  /**
   * By the program that stays, so that looking every few seconds starts nothing. It ends where `known` is not there; a process of its
   * own then tells how things are.
   */
  async readCounts(known: string): Promise<ReadonlyMap<string, number>> {
    const text = this.#canListAll ? ((await this.#listByStanding(known)) ?? (await this.#listAlone())) : undefined;
    if (text === undefined) return new Map([...(await this.read())].map(([name, { members }]) => [name, members.size]));
    if (text !== this.#listing.text) this.#listing = { text, counts: parseIpSetCounts(text) };
    return this.#listing.counts;
  }

  async #listByStanding(known: string): Promise<string | undefined> {
    const answer = await this.#standing?.ask({ text: `list -t\n${listOne(known)}`, isLast: isListed(known, 2) });
    return answer?.join('\n');
  }

  /** Undefined: a foreign set that this ipset does not know breaks the list of all, in a program that stays as well. */
  async #listAlone(): Promise<string | undefined> {
    try {
      return (await this.#run(['ipset', 'list', '-t'])).stdout;
    } catch (error) {
      if (!(error instanceof CommandError) || error.isMissing) throw error;
      this.#canListAll = false;
      return undefined;
    }
  }

  async apply(write: SetsWrite): Promise<ApplyResult> {
    switch (write.kind) {
      case 'write-sets':
        if (!(await this.#changeByStanding(write.sets))) await this.#restore(ipSetLines(write.sets));
        return { kept: [] };
      case 'resize-set':
        await this.#resize(write.set);
        return { kept: [] };
      case 'destroy-sets':
        return { kept: await this.#destroy(write.names) };
      default:
        return unreachable(write);
    }
  }

  /** False: it may have done a part, which may be done again. A set that is there after it all is the answer. */
  async #changeByStanding(sets: readonly SetWrite[]): Promise<boolean> {
    const last = sets.at(-1)?.set.name;
    if (this.#standing === undefined || last === undefined) return false;
    const changes = ipSetLines(sets).map((line) => `${line}\n`);
    return (
      (await this.#standing.send({ text: changes.join('') + listOne(last), isLast: isListed(last, 1) })) === 'done'
    );
  }

  /** One process for all of them; one each where a set vanished meanwhile, or where restore does not take `save`. */
  async #save(names: readonly string[]): Promise<string> {
    try {
      return (await this.#run(['ipset', 'restore'], { input: names.map((name) => `save ${name}\n`).join('') })).stdout;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      const texts: string[] = [];
      for (const name of names) texts.push(await this.#saveOne(name));
      return texts.join('');
    }
  }

  async #saveOne(name: string): Promise<string> {
    try {
      return (await this.#run(['ipset', 'save', name])).stdout;
    } catch (error) {
      if (error instanceof CommandError && error.stderr.includes('does not exist')) return '';
      throw error;
    }
  }

  async #resize(set: IpSet): Promise<void> {
    const temporary = temporarySetName(0, set.family);
    await this.#run(['ipset', '-exist', 'destroy', temporary]);
    await this.#restore([...temporarySetLines(set), `swap ${temporary} ${set.name}`, `destroy ${temporary}`]);
  }

  /** A set in use ends a restore: it is kept, and the rest follows. */
  async #destroy(names: readonly string[]): Promise<readonly string[]> {
    const kept: string[] = [];
    let rest = names;
    while (rest.length > 0) {
      const failed = await this.#firstFailure(rest.map((name) => `destroy ${name}`));
      if (failed === undefined) break;
      kept.push(...rest.slice(failed, failed + 1));
      rest = rest.slice(failed + 1);
    }
    return kept;
  }

  /** Index of the line that failed. */
  async #firstFailure(lines: readonly string[]): Promise<number | undefined> {
    try {
      await this.#run(restore, { input: `${lines.join('\n')}\n` });
      return undefined;
    } catch (error) {
      const line = error instanceof CommandError ? errorLine(error) : undefined;
      if (line === undefined) throw error;
      return line - 1;
    }
  }

  async #restore(lines: readonly string[]): Promise<void> {
    try {
      await this.#run(restore, { input: `${lines.join('\n')}\n` });
    } catch (error) {
      throw error instanceof CommandError ? (refusalOf(error, lines) ?? error) : error;
    }
  }
}

/** Without members. A program that was once asked for `-name` would leave the rest out from then on, so it is never asked for that. */
function listOne(name: string): string {
  return `list -t ${name}\n`;
}

/** Whether this set has been listed so many times. */
function isListed(name: string, times: number): (line: string) => boolean {
  let seen = 0;
  return (line) => {
    if (line === `Name: ${name}`) seen += 1;
    return seen === times && line.startsWith('Number of entries: ');
  };
}

/** A line is named, but the machine is at fault: another try may succeed. */
const passing =
  /Cannot allocate memory|Resource temporarily unavailable|Operation not permitted|Interrupted system call/;

function refusalOf(error: CommandError, lines: readonly string[]): RefusedError | undefined {
  const line = errorLine(error);
  if (line === undefined || passing.test(error.stderr)) return undefined;
  const [verb = '', set = '', member = ''] = (lines[line - 1] ?? '').split(' ');
  const message = error.stderr.trim().replace(/^ipset v[\d.]+: Error in line \d+: /, '');
  const isMember = verb === 'add' || verb === 'del';
  // A set that is missing or full is not the fault of the member that met it.
  const isOwnFault = isMember && !/does not exist|is full/.test(message);
  return new RefusedError({ message, culprit: set, ...(isOwnFault ? { member } : {}) }, { cause: error });
}

function errorLine(error: CommandError): number | undefined {
  const line = /Error in line (\d+)/.exec(error.stderr)?.[1];
  return line === undefined ? undefined : Number(line);
}
