/** The complete objects as files, for the agents to follow: one object a file, each replaced at once. */
import { createHash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ClusterObject, ObjectKind } from '../cluster/objects.ts';
import { keyOf } from '../cluster/objects.ts';
import { manifestText } from '../manifests/write.ts';
import type { RunDirectory } from './run-directory.ts';
import { writeAtomically } from './run-directory.ts';

export class ClusterFiles {
  readonly #directory: RunDirectory;
  readonly #written = new Map<string, string>();

  constructor(directory: RunDirectory) {
    this.#directory = directory;
  }

  /** Writes objects whose text is new. */
  async write(objects: readonly ClusterObject[]): Promise<void> {
    for (const object of objects) {
      const file = this.#fileOf(object.kind, keyOf(object));
      const text = manifestText([object]);
      if (this.#written.get(file) === text) continue;
      await mkdir(dirname(file), { recursive: true });
      await writeAtomically(file, text, this.#directory.temporary);
      this.#written.set(file, text);
    }
  }

  async remove(kind: ObjectKind, key: string): Promise<void> {
    const file = this.#fileOf(kind, key);
    this.#written.delete(file);
    await rm(file, { force: true });
  }

  /** `Pod/<namespace>/<name>.yaml`; a name that no file can have is cut and told apart by its hash. */
  #fileOf(kind: ObjectKind, key: string): string {
    const parts = key.split('/').map((part) => (part.length <= 200 ? part : `${part.slice(0, 180)}-${hashOf(part)}`));
    return `${join(this.#directory.cluster, kind, ...parts)}.yaml`;
  }
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
