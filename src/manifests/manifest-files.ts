/** The manifest files of a directory (or one file), read and parsed; what cannot be read now keeps what it last held. */
import type { Stats } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { ManifestError } from './manifest-error.ts';
import type { FileContent } from './merge.ts';
import type { ParsedFile } from './parse.ts';
import { parseManifest } from './parse.ts';

/** A file that was written in place may be half written: it is read again when it has been quiet for so long. */
const settleMs = 20;
/** An empty or missing file is often an editor's way of saving: its objects stay for so long. */
const goneMs = 60;
const parallelReads = 32;

/** The objects that a file has in force, and what is wrong with it. */
interface FileRecord {
  readonly parsed: ParsedFile;
  readonly diagnostics: readonly Diagnostic[];
  /** Which version was read. */
  readonly version: FileVersion | undefined;
  /** Since when it is empty or missing, by the caller's clock. */
  readonly goneSince?: number;
}

interface FileVersion {
  readonly inode: number;
  readonly size: number;
  readonly modifiedMs: number;
}

export class ManifestFiles {
  /** The directory that holds everything. */
  readonly root: string;
  readonly #argument: string;
  readonly #onlyFile: string | undefined;
  readonly #records = new Map<string, FileRecord>();
  /** Folders below the directory that could not be listed when last looked at, and why. */
  readonly #closedFolders = new Map<string, string>();
  readonly #changed = new Set<string>();

  private constructor(argument: string, onlyFile: string | undefined) {
    this.#argument = argument;
    this.#onlyFile = onlyFile;
    this.root = onlyFile === undefined ? argument : dirname(argument);
  }

  /** Fails with one clear ManifestError where there is nothing to read. */
  static async open(argument: string): Promise<ManifestFiles> {
    try {
      const found = await stat(argument);
      return new ManifestFiles(argument, found.isDirectory() ? undefined : basename(argument));
    } catch (error) {
      throw new ManifestError(argument, `${reasonOf(error)}, expected a directory of YAML files`, { cause: error });
    }
  }

  get isOneFile(): boolean {
    return this.#onlyFile !== undefined;
  }

  /** What became of files since the last call, by path, relative to the directory; undefined: the file is gone. */
  takeChanged(): ReadonlyMap<string, FileContent | undefined> {
    const changed = new Map<string, FileContent | undefined>();
    for (const path of this.#changed) {
      const record = this.#records.get(path);
      changed.set(path, record && { objects: record.parsed.objects, diagnostics: record.diagnostics });
    }
    this.#changed.clear();
    return changed;
  }

  /** Something was read, and of no file it is unknown what it should hold. */
  get isComplete(): boolean {
    return this.#records.size > 0 && this.unreadable.length === 0;
  }

  /** Files that could never be read. */
  get unreadable(): readonly string[] {
    const files = [...this.#records].filter(([, { parsed }]) => !parsed.isYaml).map(([path]) => path);
    return [...files, ...this.#closedFolders.keys()];
  }

  /** What is in a folder that cannot be listed now is not known; what its files last held stays. */
  get folderProblems(): readonly Diagnostic[] {
    return [...this.#closedFolders].map(([folder, reason]) => ({
      severity: 'error',
      object: '',
      message: `${reason}; what its files last held stays in force`,
      file: folder,
    }));
  }

  /** Everything that was there is gone at once, and nothing came in its place: a mount that went, not a change. */
  async isEmptied(): Promise<boolean> {
    let held = 0;
    for (const [path, { parsed }] of this.#records) {
      if (parsed.objects.length === 0) continue;
      if (await this.#isThere(path)) return false;
      held += 1;
    }
    if (held === 0) return false;
    return this.#onlyFile !== undefined || (await this.#listBelow('')).length === 0;
  }

  /** Whether a path, relative to the directory, is one of a manifest. */
  isManifest(path: string): boolean {
    if (this.#onlyFile !== undefined) return path === this.#onlyFile;
    const name = basename(path);
    const isHidden = path.split('/').some((part) => part.startsWith('.'));
    return !isHidden && /\.(ya?ml|json)$/.test(name) && !/^kustomization\.ya?ml$/.test(name);
  }

  /** Every manifest file below the directory and every one that is known; links to directories are not followed. */
  async list(): Promise<readonly string[]> {
    if (this.#onlyFile !== undefined) return [this.#onlyFile];
    const found = await this.#listBelow('');
    return [...new Set([...found, ...this.#records.keys()])].toSorted();
  }

  async isRootThere(): Promise<boolean> {
    const found = await stat(this.root).catch(() => undefined);
    return found !== undefined;
  }

  /** Reads files again that are not the versions that were read. Yields which to look at once more, and when, by the clock of `now`. */
  async refreshAll(paths: readonly string[], now: number): Promise<ReadonlyMap<string, number>> {
    const again = new Map<string, number>();
    for (let start = 0; start < paths.length; start += parallelReads) {
      const some = paths.slice(start, start + parallelReads);
      await Promise.all(
        some.map(async (path) => {
          const dueAt = await this.#refresh(path, now);
          if (dueAt !== undefined) again.set(path, dueAt);
        }),
      );
    }
    return again;
  }

  async #refresh(path: string, now: number): Promise<number | undefined> {
    const before = this.#records.get(path);
    const full = join(this.root, path);
    const found = await stat(full).catch((error: unknown) => error);
    if (!isStats(found)) return isMissing(found) ? this.#forget(path, now) : this.#fail(path, reasonOf(found));
    const version: FileVersion = { inode: found.ino, size: found.size, modifiedMs: found.mtimeMs };
    if (before?.goneSince === undefined && isSameVersion(before?.version, version)) return undefined;
    return this.#notYet(path, version, now) ?? this.#read(path, full, { version, now });
  }

  /** When a file that may be half written is to be looked at again; undefined where it can be read now. */
  #notYet(path: string, version: FileVersion, now: number): number | undefined {
    const before = this.#records.get(path);
    if (before === undefined) return undefined;
    if (version.size === 0) return before.parsed.objects.length === 0 ? undefined : this.#wait(path, before, now);
    // Another inode was renamed into place and is complete.
    const isInPlace = before.version?.inode === version.inode;
    return isInPlace && Date.now() - version.modifiedMs < settleMs ? now + settleMs : undefined;
  }

  async #read(
    path: string,
    full: string,
    { version, now }: { readonly version: FileVersion; readonly now: number },
  ): Promise<number | undefined> {
    const bytes = await readFile(full).catch((error: unknown) =>
      error instanceof Error ? error : new Error('failed'),
    );
    // It went away after we looked.
    if (isMissing(bytes)) return this.#forget(path, now);
    if (bytes instanceof Error) return this.#fail(path, reasonOf(bytes));
    const text = decode(bytes);
    if (text === undefined) return this.#fail(path, 'not UTF-8, expected YAML text', version);
    const before = this.#records.get(path)?.parsed;
    const parsed = parseManifest(text, path, before);
    const holdsBefore = !parsed.isYaml && before?.isYaml === true && before.objects.length > 0;
    if (!holdsBefore) {
      this.#store(path, { parsed, diagnostics: parsed.diagnostics, version });
      return undefined;
    }
    const diagnostics = [...parsed.diagnostics, heldDiagnostic(path)];
    this.#store(path, { parsed: before, diagnostics, version });
    return undefined;
  }

  #fail(path: string, reason: string, version?: FileVersion): undefined {
    const before = this.#records.get(path)?.parsed;
    const parsed = before ?? { objects: [], diagnostics: [], isYaml: false, documents: new Map() };
    const diagnostic: Diagnostic = { severity: 'error', object: '', message: reason, file: path };
    const held = parsed.objects.length > 0 ? [heldDiagnostic(path)] : [];
    this.#store(path, { parsed, diagnostics: [diagnostic, ...held], version });
  }

  #forget(path: string, now: number): number | undefined {
    const before = this.#records.get(path);
    if (before === undefined) return undefined;
    const again = before.parsed.objects.length === 0 ? undefined : this.#wait(path, before, now);
    if (again === undefined) this.#store(path, undefined);
    return again;
  }

  #wait(path: string, before: FileRecord, now: number): number | undefined {
    const goneSince = before.goneSince ?? now;
    this.#store(path, { ...before, goneSince });
    return now - goneSince < goneMs ? goneSince + goneMs : undefined;
  }

  #store(path: string, record: FileRecord | undefined): void {
    this.#changed.add(path);
    if (record === undefined) this.#records.delete(path);
    else this.#records.set(path, record);
  }

  async #isThere(path: string): Promise<boolean> {
    const found = await stat(join(this.root, path)).catch((error: unknown) => error);
    return isStats(found) || !isMissing(found);
  }

  async #listBelow(folder: string): Promise<readonly string[]> {
    this.#closedFolders.delete(folder);
    const entries = await readdir(join(this.root, folder), { withFileTypes: true }).catch((error: unknown) => {
      if (folder !== '') {
        if (!isMissing(error)) this.#closedFolders.set(folder, reasonOf(error));
        return [];
      }
      throw new ManifestError(this.#argument, `${folder}${folder === '' ? '' : ': '}${reasonOf(error)}`, {
        cause: error,
      });
    });
    const paths: string[] = [];
    for (const entry of entries) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.name.startsWith('.')) continue;
      if (entry.isDirectory()) paths.push(...(await this.#listBelow(path)));
      else if (this.isManifest(path)) paths.push(path);
    }
    return paths;
  }
}

function heldDiagnostic(path: string): Diagnostic {
  const message = 'what this file held when it could last be read stays in force';
  return { severity: 'warning', object: '', message, file: path };
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function isSameVersion(left: FileVersion | undefined, right: FileVersion): boolean {
  return left?.inode === right.inode && left.size === right.size && left.modifiedMs === right.modifiedMs;
}

function isStats(found: unknown): found is Stats {
  return typeof found === 'object' && found !== null && 'mtimeMs' in found;
}

function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR';
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function reasonOf(error: unknown): string {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'does not exist',
    ENOTDIR: 'is not a directory',
    EACCES: 'may not be read (permission denied)',
    EISDIR: 'is a directory, expected a file',
  };
  return reasons[codeOf(error)] ?? (error instanceof Error ? error.message : String(error));
}
