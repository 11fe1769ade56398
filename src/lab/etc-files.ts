/** The `hosts` and `resolv.conf` of a lab: one pair for each Kubernetes namespace, one with full names alone. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterState } from '../cluster/state.ts';
import type { IpFamily } from '../lib/ip.ts';
import { hostsText, resolvText } from './hosts.ts';

export class EtcFiles {
  readonly #path: string;
  readonly #families: readonly IpFamily[];
  readonly #written = new Map<string, string>();

  constructor(path: string, families: readonly IpFamily[]) {
    this.#path = path;
    this.#families = families;
  }

  /** For pods of the namespace, or for nodes and the outside client. */
  directoryOf(namespace: string | undefined): string {
    return join(this.#path, namespace === undefined ? 'cluster' : `namespace-${namespace}`);
  }

  /** In place, not by rename: a command that runs in a pod has the file mounted and sees the new text. */
  async write(state: ClusterState): Promise<void> {
    const namespaces = new Set([...state.pods.values()].map((pod) => pod.namespace));
    for (const namespace of [undefined, ...namespaces]) {
      const directory = this.directoryOf(namespace);
      await mkdir(directory, { recursive: true });
      await this.#writeFile(join(directory, 'hosts'), hostsText(state, this.#families, namespace));
      await this.#writeFile(join(directory, 'resolv.conf'), resolvText(namespace));
    }
  }

  async #writeFile(file: string, text: string): Promise<void> {
    if (this.#written.get(file) === text) return;
    await writeFile(file, text);
    this.#written.set(file, text);
  }
}
