/** Tells an API server what a lab has filled in, so that an agent of the lab can follow it there and not from files. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { pause, runDirectory } from '../../src/lab/run-directory.ts';
import { allResources } from '../../src/kube/resources.ts';
import type { NewObject } from '../fakes/kube-store.ts';
import type { TestLab } from './lab-fixture.ts';
import { untilTrue } from './lab-fixture.ts';
import type { RemoteApi } from './remote-api.ts';

const pathOfKind = new Map<string, string>(allResources.map(({ kind, path }) => [kind, path]));

interface Placed {
  readonly path: string;
  readonly key: string;
  readonly text: string;
  readonly object: NewObject;
}

export class MirroredCluster {
  readonly #lab: TestLab;
  readonly #api: RemoteApi;
  readonly #told = new Map<string, Placed>();

  constructor(lab: TestLab, api: RemoteApi) {
    this.#lab = lab;
    this.#api = api;
  }

  /** Puts a manifest into the lab's place, and what came of it into the API: first what is there, then what is gone. */
  async become(file: string, text: string): Promise<void> {
    await this.#lab.write(file, text);
    await this.mirror(text.match(/^kind: NetworkPolicy$/gm)?.length ?? 0);
  }

  async mirror(policies: number): Promise<void> {
    const objects = await this.#filled(policies);
    for (const [id, placed] of objects) {
      if (this.#told.get(id)?.text === placed.text) continue;
      await this.#api.tell({ do: 'put', path: placed.path, object: placed.object });
      this.#told.set(id, placed);
    }
    for (const [id, { path, key }] of this.#told) {
      if (objects.has(id)) continue;
      await this.#api.tell({ do: 'delete', path, key });
      this.#told.delete(id);
    }
  }

  /** When the lab has written all of it. */
  async #filled(policies: number): Promise<ReadonlyMap<string, Placed>> {
    let last = '';
    await untilTrue(`the lab has ${policies} policies`, async () => {
      const before = last;
      last = JSON.stringify([...this.#read().values()].map(({ object }) => object));
      const isWhole = last === before && last.match(/"kind":"NetworkPolicy"/g)?.length === policies;
      if (!isWhole) await pause(500);
      return isWhole;
    });
    return this.#read();
  }

  #read(): ReadonlyMap<string, Placed> {
    const { cluster } = runDirectory(this.#lab.name);
    const files = globSync('**/*.yaml', { cwd: cluster });
    // One may go between the two calls.
    return new Map(files.flatMap((file) => placedIn(cluster, file)));
  }
}

function placedIn(cluster: string, file: string): readonly (readonly [string, Placed])[] {
  const from = join(cluster, file);
  if (!existsSync(from)) return [];
  const text = readFileSync(from, 'utf8');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the lab wrote it, one object a file
  const object = parse(text) as NewObject & { readonly kind: string };
  const { name, namespace } = object.metadata;
  const path = pathOfKind.get(object.kind);
  if (path === undefined) throw new Error(`${object.kind} is not followed in an API server`);
  return [[file, { path, key: namespace === undefined ? name : `${namespace}/${name}`, text, object }]];
}
