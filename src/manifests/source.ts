/** A directory of manifests as a cluster that is followed. */
import { join, relative, resolve, sep } from 'node:path';
import type { FSWatcher } from 'chokidar';
import { watch as watchFiles } from 'chokidar';
import type { ClusterSource, SourceBatch } from '../cluster/state.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { ClusterDiff } from './cluster-diff.ts';
import type { ClusterDefaults } from './defaults.ts';
import { DuePaths } from './due-paths.ts';
import { ClusterFiller } from './fill.ts';
import { ManifestError } from './manifest-error.ts';
import { ManifestFiles } from './manifest-files.ts';
import { FileMerger } from './merge.ts';

/** Files that are renamed into place together should be one change. */
const collectMs = 1;
const rootRetryMs = 500;
/** A folder that cannot be listed tells of no change either. */
const folderRetryMs = 1000;
/** Stands for the directory itself among the paths. */
const everything = '';

export interface ManifestSourceOptions {
  /**
   * Asked when at the start there is no manifest, or one that cannot be read: what it would protect is not known. False: the
   * source is not synced before every file could be read once. Default: what is there counts.
   */
  readonly mayBeginIncomplete?: () => Promise<boolean>;
}

export class ManifestSource implements ClusterSource {
  readonly #directory: string;
  readonly #filler: ClusterFiller;
  readonly #mayBeginIncomplete: () => Promise<boolean>;

  /** `directory` may also be one file. */
  constructor(directory: string, defaults: ClusterDefaults, options: ManifestSourceOptions = {}) {
    this.#directory = directory;
    this.#filler = new ClusterFiller(defaults);
    this.#mayBeginIncomplete = options.mayBeginIncomplete ?? (() => Promise.resolve(true));
  }

  /** Each call delivers the whole cluster first. Throws ManifestError where it cannot be read or watched at all. */
  async *watch(signal: AbortSignal): AsyncGenerator<SourceBatch, void, void> {
    const files = await ManifestFiles.open(this.#directory);
    const due = new DuePaths();
    const follower = new Follower(files, due);
    const batches = new Batches(this.#filler);
    try {
      await refreshAll(files, await files.list(), due);
      let synced = files.isComplete || (await this.#mayBeginIncomplete());
      const first = batches.next(files, synced ? files.folderProblems : [waitingFor(files)]);
      yield { changes: first?.changes ?? [], synced, diagnostics: first?.diagnostics ?? [] };
      while (!signal.aborted) {
        const problems = await follower.nextChange(signal);
        synced ||= files.isComplete;
        const batch = batches.next(files, synced ? problems : [...problems, waitingFor(files)]);
        if (batch !== undefined && !signal.aborted) yield { ...batch, synced };
      }
    } finally {
      await follower.close();
    }
  }
}

/** Waits for file events and reads what they name. */
class Follower {
  readonly #files: ManifestFiles;
  readonly #due: DuePaths;
  #watcher: FSWatcher | undefined;
  #failure: unknown;
  #hasClosedFolders = false;

  constructor(files: ManifestFiles, due: DuePaths) {
    this.#files = files;
    this.#due = due;
    this.#open();
  }

  /** Yields what is wrong with the directory as a whole. */
  async nextChange(signal: AbortSignal): Promise<readonly Diagnostic[]> {
    const paths = await this.#due.take(signal);
    if (this.#failure !== undefined) throw this.#watchError();
    if (!(await this.#files.isRootThere())) return this.#rootGone();
    if (await this.#files.isEmptied()) return this.#emptied();
    if (paths.includes(everything)) {
      if (this.#watcher === undefined) this.#open();
      await this.#lookAtEverything();
    } else {
      await refreshAll(this.#files, paths, this.#due);
    }
    return this.#files.folderProblems;
  }

  async #lookAtEverything(): Promise<void> {
    const wasClosed = this.#hasClosedFolders;
    await refreshAll(this.#files, await this.#files.list(), this.#due);
    this.#hasClosedFolders = this.#files.folderProblems.length > 0;
    if (this.#hasClosedFolders) this.#due.mark(everything, performance.now() + folderRetryMs);
    if (!wasClosed || this.#hasClosedFolders) return;
    // Nothing was watched in there.
    await this.#watcher?.close();
    this.#open();
  }

  async close(): Promise<void> {
    await this.#watcher?.close();
  }

  #open(): void {
    const root = resolve(this.#files.root);
    const pathOf = (path: string) => relative(root, resolve(path)).split(sep).join('/');
    const watcher = watchFiles(root, {
      ignoreInitial: true,
      atomic: false,
      ignorePermissionErrors: true,
      ...(this.#files.isOneFile ? { depth: 0 } : {}),
      ignored: (path, stats) => this.#isIgnored(pathOf(path), stats?.isFile() === true),
    });
    watcher.on('all', (_event, path) => {
      const changed = pathOf(path);
      this.#due.mark(this.#files.isManifest(changed) ? changed : everything, performance.now() + collectMs);
    });
    // chokidar holds back a second change to a file within 50 ms; the kernel's own event does not wait.
    watcher.on('raw', (_event, name, details: unknown) => {
      const watched = watchedPath(details);
      if (watched === undefined) return;
      const own = pathOf(watched);
      const changed = this.#files.isManifest(own) ? own : pathOf(join(watched, name ?? ''));
      if (this.#files.isManifest(changed)) this.#due.mark(changed, performance.now() + collectMs);
    });
    // What happened before the watch was complete is found by looking at every file once more.
    watcher.on('ready', () => this.#due.mark(everything, performance.now()));
    watcher.on('error', (error) => {
      this.#failure = error;
      this.#due.mark(everything, performance.now());
    });
    this.#watcher = watcher;
  }

  #isIgnored(path: string, isFile: boolean): boolean {
    if (path === '') return false;
    if (path.split('/').some((part) => part.startsWith('.'))) return true;
    return isFile && !this.#files.isManifest(path);
  }

  /** Deleting the whole directory is more often a mistake or a mount that went than a wish to open everything. */
  async #rootGone(): Promise<readonly Diagnostic[]> {
    await this.#watcher?.close();
    this.#watcher = undefined;
    this.#due.mark(everything, performance.now() + rootRetryMs);
    const message = `manifests ${this.#files.root}: the directory is gone, what it held last stays in force`;
    return [{ severity: 'error', object: '', message }];
  }

  /** An unmounted volume leaves an empty directory behind. */
  #emptied(): readonly Diagnostic[] {
    this.#due.mark(everything, performance.now() + rootRetryMs);
    const message = `manifests ${this.#files.root}: no manifest is left, what they held last stays in force (an empty file would say that nothing is wanted)`;
    return [{ severity: 'error', object: '', message }];
  }

  #watchError(): ManifestError {
    const { root } = this.#files;
    const reason = this.#failure instanceof Error ? this.#failure.message : 'unknown reason';
    return new ManifestError(root, `cannot be watched: ${reason}`, { cause: this.#failure });
  }
}

function waitingFor({ root, unreadable }: ManifestFiles): Diagnostic {
  const reason = unreadable.length === 0 ? 'there is no manifest' : `${unreadable.join(', ')} cannot be read`;
  const message = `manifests ${root}: ${reason}, so what should be protected is not known; what an earlier agent wrote stays as it is until then`;
  return { severity: 'error', object: '', message };
}

/** Reads files that changed; those that are not settled are marked to be looked at again. */
async function refreshAll(files: ManifestFiles, paths: readonly string[], due: DuePaths): Promise<void> {
  const again = await files.refreshAll(paths, performance.now());
  for (const [path, dueAt] of again) due.mark(path, dueAt);
}

/** Makes batches of what the files say now. */
class Batches {
  readonly #filler: ClusterFiller;
  readonly #merger = new FileMerger();
  readonly #diff = new ClusterDiff();
  #diagnostics = '';

  constructor(filler: ClusterFiller) {
    this.#filler = filler;
  }

  /** Undefined where nothing is new. */
  next(files: ManifestFiles, problems: readonly Diagnostic[]): SourceBatch | undefined {
    for (const [path, content] of files.takeChanged()) this.#merger.set(path, content);
    const filled = this.#filler.fillKinds(this.#merger.byKind);
    const changes = this.#diff.changesTo(...filled.lists);
    const diagnostics = [...problems, ...this.#merger.diagnostics, ...filled.diagnostics];
    const text = JSON.stringify(diagnostics);
    const hasNews = text !== this.#diagnostics;
    this.#diagnostics = text;
    if (changes.length === 0 && !hasNews) return undefined;
    return { changes, synced: true, ...(hasNews ? { diagnostics } : {}) };
  }
}

function watchedPath(details: unknown): string | undefined {
  const isKnown = typeof details === 'object' && details !== null && 'watchedPath' in details;
  return isKnown && typeof details.watchedPath === 'string' ? details.watchedPath : undefined;
}
