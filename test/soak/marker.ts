/** How long a change takes from the rename of a manifest to the kernels of all nodes: a label that puts an address into a set, and takes it out. */
import { CommandError } from '../../src/backends/exec.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { pause, runDirectory } from '../../src/lab/run-directory.ts';
import { agentJson } from './agent-json.ts';
import { inside } from '../kernel/raw-packets.ts';
import { markerText } from './fixed-cluster.ts';

const withinMs = 60_000;

export class Marker {
  readonly #write: (file: string, text: string) => Promise<void>;
  #set = '';
  #address = '';
  #round = 0;

  constructor(write: (file: string, text: string) => Promise<void>) {
    this.#write = write;
  }

  /** Finds the set of marked pods: the one that holds the marker alone. The marker is left unmarked. */
  async begin(lab: LabState): Promise<void> {
    const address = lab.pods.find(({ key }) => key === 'fixed/marker')?.addresses.find((one) => !one.includes(':'));
    const node = lab.nodes[0]?.name ?? '';
    const found = await agentJson(runDirectory(lab.name).agent(node), '/api/ipsets');
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own /api
    const { ipSets } = found as {
      readonly ipSets: readonly { readonly name: string; readonly members: readonly string[] }[];
    };
    const set = ipSets.find(({ name, members }) => name.startsWith('cali40s:') && members.join() === address);
    if (set === undefined || address === undefined) throw new Error('no set holds the marker alone');
    this.#set = set.name;
    this.#address = address;
    await this.change(lab);
  }

  /** Marks or unmarks; milliseconds until the last node's kernel knows. */
  async change(lab: LabState): Promise<number> {
    this.#round += 1;
    const isMarked = this.#round % 2 === 0;
    const started = performance.now();
    await this.#write('marker.yaml', markerText(isMarked, this.#round));
    await Promise.all(lab.nodes.map(({ netns }) => this.#untilIs(netns, isMarked, started)));
    return performance.now() - started;
  }

  async #untilIs(netns: string, isMarked: boolean, started: number): Promise<void> {
    while ((await this.#isIn(netns)) !== isMarked) {
      if (performance.now() - started > withinMs)
        throw new Error(`the marker is not in the kernel after ${withinMs / 1000} s`);
      await pause(10);
    }
  }

  async #isIn(netns: string): Promise<boolean> {
    try {
      await inside(netns, ['ipset', 'test', this.#set, this.#address]);
      return true;
    } catch (error) {
      if (error instanceof CommandError && error.exitCode === 1) return false;
      throw error;
    }
  }
}
