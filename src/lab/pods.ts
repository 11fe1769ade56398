/** Makes the pods of a plan be there: namespace, veth, addresses, /etc, servers. Works from what is there to what should be. */
import type { Logger } from '../telemetry/logger.ts';
import {
  addNamespaces,
  aliasNamespace,
  inParallel,
  linkEtc,
  namespacesOf,
  removeNamespaces,
  runBatch,
  unlinkEtc,
} from './network.ts';
import type { LabPlan, PodPlan } from './plan.ts';
import { isSamePod } from './plan.ts';
import type { PodServers } from './servers.ts';
import { podInnerLines, podLinkLines, podUnlinkLines, strayRouteBatches } from './wiring.ts';

export interface PodsContext {
  readonly servers: PodServers;
  /** Directory with the /etc of a Kubernetes namespace. */
  readonly etcOf: (namespace: string) => string;
  readonly logger: Logger;
}

export class LabPods {
  readonly #context: PodsContext;
  readonly #wired = new Map<string, PodPlan>();
  /** What went wrong with a pod, by key; tried again with the next change. */
  readonly #problems = new Map<string, readonly string[]>();

  constructor(context: PodsContext) {
    this.#context = context;
  }

  /** The pods that are there, by `namespace/name`. */
  get wired(): ReadonlyMap<string, PodPlan> {
    return this.#wired;
  }

  get problems(): readonly string[] {
    return [...this.#problems.values()].flat();
  }

  /** Takes away what the plan has no more, then adds what it has anew. A pod that fails leaves the others alone. */
  async follow(plan: LabPlan, onProgress: (done: number, total: number) => void = () => undefined): Promise<void> {
    const gone = [...this.#wired.values()].filter((pod) => !isStill(plan.pods.get(pod.key), pod));
    await this.#remove(plan, gone);
    const added = [...plan.pods.values()].filter((pod) => !this.#wired.has(pod.key));
    for (const key of this.#problems.keys()) if (!plan.pods.has(key)) this.#problems.delete(key);
    const present = new Set(await namespacesOf(() => true));
    const missing = added.filter((pod) => !pod.hostNetwork && !present.has(pod.netns));
    await addNamespaces(missing.map((pod) => pod.netns));
    let done = 0;
    await inParallel(added, async (pod) => {
      await this.#addOrReport(plan, pod);
      done += 1;
      onProgress(done, added.length);
    });
  }

  async #addOrReport(plan: LabPlan, pod: PodPlan): Promise<void> {
    try {
      await this.#add(plan, pod);
    } catch (error) {
      this.#context.logger.error({ pod: pod.key, err: error }, 'pod was not wired');
      this.#problems.set(pod.key, [`pod ${pod.key}: ${error instanceof Error ? error.message : String(error)}`]);
      await this.#remove(plan, [pod]);
    }
  }

  async #add(plan: LabPlan, pod: PodPlan): Promise<void> {
    const node = plan.nodes.get(pod.node);
    if (node === undefined) throw new Error(`no node ${pod.node} in the plan`);
    if (pod.hostNetwork) await aliasNamespace(node.netns, pod.netns);
    await runBatch({ netns: node.netns, lines: podLinkLines(plan, pod) });
    await runBatch({ netns: pod.netns, lines: podInnerLines(plan, pod) });
    for (const batch of strayRouteBatches(plan, pod, 'replace')) await runBatch(batch);
    await linkEtc(pod.netns, this.#context.etcOf(pod.namespace));
    const problems = await this.#context.servers.open(pod);
    this.#wired.set(pod.key, pod);
    if (problems.length === 0) this.#problems.delete(pod.key);
    else this.#problems.set(pod.key, problems);
  }

  async #remove(plan: LabPlan, pods: readonly PodPlan[]): Promise<void> {
    await inParallel(pods, async (pod) => {
      this.#wired.delete(pod.key);
      this.#context.servers.close(pod.key);
      for (const { netns, lines } of this.#undo(plan, pod)) {
        // A part that was never made, or went with the device, cannot be taken away: that is no failure.
        await runBatch({ netns, lines }).catch(() => undefined);
      }
      await unlinkEtc(pod.netns);
    });
    await removeNamespaces(pods.map((pod) => pod.netns));
  }

  #undo(plan: LabPlan, pod: PodPlan): readonly { readonly netns: string; readonly lines: readonly string[] }[] {
    const node = plan.nodes.get(pod.node);
    if (node === undefined) return [];
    return [{ netns: node.netns, lines: podUnlinkLines(pod) }, ...strayRouteBatches(plan, pod, 'del')];
  }
}

function isStill(planned: PodPlan | undefined, wired: PodPlan): boolean {
  return planned !== undefined && isSamePod(planned, wired);
}
