/**
 * What an API server keeps: objects with versions, and what happened to them, as far back as it was not compacted. It refuses
 * what the real one refuses. No clock, no network; `kube-api.ts` puts it behind HTTP.
 */
export interface StoredObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly status?: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

export interface NewObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  readonly [field: string]: unknown;
}

export interface StoreEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly version: number;
  readonly path: string;
  readonly object: StoredObject;
}

interface Happening {
  readonly version: number;
  readonly path: string;
  readonly before?: StoredObject;
  readonly after?: StoredObject;
}

export type Accepts = (object: StoredObject) => boolean;

/** A refusal, as the Status of an answer. */
export class Refused extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

export interface Page {
  readonly items: readonly StoredObject[];
  readonly version: number;
  readonly continueToken?: string;
}

export class KubeStore {
  readonly #objects = new Map<string, Map<string, StoredObject>>();
  readonly #listeners = new Set<() => void>();
  #history: Happening[] = [];
  #version = 1;
  #oldest = 1;
  #uids = 0;

  get version(): number {
    return this.#version;
  }

  /** Creates or replaces; a new uid when it was not there. */
  put(path: string, object: NewObject): StoredObject {
    const key = keyOf(object.metadata);
    const before = this.#of(path).get(key);
    this.#version += 1;
    this.#uids += 1;
    const uid = before?.metadata.uid ?? `uid-${this.#uids}`;
    const after: StoredObject = {
      ...object,
      metadata: { ...object.metadata, uid, resourceVersion: String(this.#version) },
    };
    this.#of(path).set(key, after);
    this.#tell({ version: this.#version, path, after, ...(before === undefined ? {} : { before }) });
    return after;
  }

  delete(path: string, key: string): void {
    const before = this.#of(path).get(key);
    if (before === undefined) return;
    this.#version += 1;
    this.#of(path).delete(key);
    this.#tell({ version: this.#version, path, before });
  }

  objects(path: string): readonly StoredObject[] {
    return [...this.#of(path).values()];
  }

  /** History is forgotten: versions from before are too old. */
  compact(): void {
    this.#history = [];
    this.#version += 1;
    this.#oldest = this.#version;
  }

  /** A page of the list as it was at its first page. */
  list(path: string, accepts: Accepts, limit: number, continueToken?: string): Page {
    const { version, after } =
      continueToken === undefined ? { version: this.#version, after: '' } : parsed(continueToken);
    if (version < this.#oldest) throw new Refused(410, 'Expired', 'The provided continue parameter is too old');
    const all = [...this.#at(path, version).entries()].sort(([left], [right]) => (left < right ? -1 : 1));
    const rest = all.filter(([key, object]) => key > after && accepts(object));
    const items = limit === 0 ? rest : rest.slice(0, limit);
    const last = items.at(-1);
    const isLast = items.length === rest.length || last === undefined;
    return {
      items: items.map(([, object]) => object),
      version,
      ...(isLast ? {} : { continueToken: tokenOf(version, last[0]) }),
    };
  }

  /** Refuses a version to begin a watch at that is too old, or not reached yet. */
  check(version: number): void {
    if (version < this.#oldest)
      throw new Refused(410, 'Expired', `too old resource version: ${version} (${this.#oldest})`);
    if (version > this.#version) {
      throw new Refused(504, 'Timeout', `Too large resource version: ${version}, current: ${this.#version}`);
    }
  }

  /** What happened after `version`. */
  since(path: string, version: number, accepts: Accepts): readonly StoreEvent[] {
    return this.#history
      .filter((happening) => happening.version > version && happening.path === path)
      .flatMap((happening) => eventOf(happening, accepts) ?? []);
  }

  /** Called after each change; the function ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #of(path: string): Map<string, StoredObject> {
    const objects = this.#objects.get(path) ?? new Map<string, StoredObject>();
    this.#objects.set(path, objects);
    return objects;
  }

  /** The objects as they were: what happened since is undone. */
  #at(path: string, version: number): Map<string, StoredObject> {
    const objects = new Map(this.#of(path));
    for (const { before, after } of this.#history
      .filter((one) => one.version > version && one.path === path)
      .reverse()) {
      if (after !== undefined) objects.delete(keyOf(after.metadata));
      if (before !== undefined) objects.set(keyOf(before.metadata), before);
    }
    return objects;
  }

  #tell(happening: Happening): void {
    this.#history.push(happening);
    for (const listener of this.#listeners) listener();
  }
}

/** To a watch with a selector, an object that it no longer accepts is deleted, and one that it begins to accept is new. */
function eventOf({ version, path, before, after }: Happening, accepts: Accepts): StoreEvent | undefined {
  const wasThere = before !== undefined && accepts(before);
  if (after !== undefined && accepts(after)) {
    return { type: wasThere ? 'MODIFIED' : 'ADDED', version, path, object: after };
  }
  if (!wasThere) return undefined;
  const object = { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } };
  return { type: 'DELETED', version, path, object };
}

function keyOf({ name, namespace }: { readonly name: string; readonly namespace?: string }): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

function tokenOf(version: number, after: string): string {
  return Buffer.from(JSON.stringify({ version, after })).toString('base64url');
}

function parsed(token: string): { readonly version: number; readonly after: string } {
  try {
    const { version, after }: { version?: unknown; after?: unknown } = JSON.parse(
      Buffer.from(token, 'base64url').toString(),
    );
    if (typeof version === 'number' && typeof after === 'string') return { version, after };
  } catch {
    // Refused below.
  }
  throw new Refused(400, 'BadRequest', 'continue key is not valid');
}
