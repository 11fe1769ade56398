/** The run itself: changes at their rate, flows all the time, a marker and a sample every few seconds. */
import type { TestLab } from '../kernel/lab-fixture.ts';
import { untilTrue } from '../kernel/lab-fixture.ts';
import { askAgent } from '../../src/lab/ask-agent.ts';
import { pause, runDirectory } from '../../src/lab/run-directory.ts';
import type { AgentSample } from './agents.ts';
import { latencyBetween, sampleAgents } from './agents.ts';
import { Churn } from './churn.ts';
import type { FlowFigures } from './flows.ts';
import { SoakFlows } from './flows.ts';
import { Marker } from './marker.ts';

export interface SoakOptions {
  readonly seed: number;
  /** Changes a second. */
  readonly rate: number;
  readonly say: (line: string) => void;
}

export interface SoakSample {
  readonly minute: number;
  readonly agents: readonly AgentSample[];
  /** From the rename of a manifest to the kernels of all nodes, since the sample before. */
  readonly markerMs: readonly number[];
}

export interface SoakResult {
  readonly samples: readonly SoakSample[];
  readonly flows: FlowFigures;
  readonly flowProblems: readonly string[];
  readonly changes: number;
  readonly wantedChanges: number;
}

const sampleEveryMs = 10_000;
const markerEveryMs = 2000;
/** The agents look for what is left over every 5 seconds. */
const settledMs = 12_000;

export class Soak {
  readonly #lab: TestLab;
  readonly #options: SoakOptions;
  readonly #samples: SoakSample[] = [];
  #markerMs: number[] = [];
  #changes = 0;
  #end = 0;

  constructor(lab: TestLab, options: SoakOptions) {
    this.#lab = lab;
    this.#options = options;
  }

  async run(milliseconds: number): Promise<SoakResult> {
    const marker = new Marker((file, text) => this.#lab.write(file, text));
    await marker.begin(this.#lab.state);
    const flows = new SoakFlows(this.#lab.state);
    this.#end = Date.now() + milliseconds;
    try {
      await Promise.all([this.#churn(), this.#mark(marker), this.#sample()]);
      await this.#untilSettled();
    } finally {
      await flows.stop();
    }
    const wantedChanges = (this.#options.rate * milliseconds) / 1000;
    const { figures, problems } = flows;
    return { samples: this.#samples, flows: figures, flowProblems: problems, changes: this.#changes, wantedChanges };
  }

  /** Keeps the rate on the whole: after a pause of the machine the missed changes come at once, as they would from a cluster. */
  async #churn(): Promise<void> {
    const churn = new Churn(this.#options.seed);
    const begin = Date.now();
    while (Date.now() < this.#end) {
      const due = ((Date.now() - begin) * this.#options.rate) / 1000;
      while (this.#changes < due) {
        const { file, text } = churn.next();
        if (text === undefined) await this.#lab.remove(file);
        else await this.#lab.write(file, text);
        this.#changes += 1;
      }
      await pause(10);
    }
  }

  async #mark(marker: Marker): Promise<void> {
    while (Date.now() < this.#end) {
      this.#markerMs.push(await marker.change(this.#lab.state));
      await pause(markerEveryMs);
    }
  }

  async #sample(): Promise<void> {
    const begin = Date.now();
    await this.#take(0);
    while (Date.now() < this.#end) {
      await pause(sampleEveryMs);
      await this.#take((Date.now() - begin) / 60_000);
    }
  }

  async #take(minute: number): Promise<void> {
    const agents = await sampleAgents(await this.#lab.readState());
    const sample = { minute, agents, markerMs: this.#markerMs };
    this.#markerMs = [];
    const before = this.#samples.findLast((one) => one.minute <= minute - 1);
    const isNewMinute = Math.floor(minute) > Math.floor(this.#samples.at(-1)?.minute ?? -1);
    this.#samples.push(sample);
    if (isNewMinute) this.#options.say(lineOf(sample, before, this.#samples));
  }

  /** Every agent knows what the files say, and its kernel too. */
  async #untilSettled(): Promise<void> {
    const { name, nodes } = this.#lab.state;
    let quietSince = Date.now();
    let last = '';
    const revisions = async (): Promise<boolean> => {
      const reports = await Promise.all(nodes.map((node) => askAgent(runDirectory(name).agent(node.name))));
      const statuses = reports.map((report) => report?.status);
      const now = JSON.stringify(statuses.map((status) => [status?.revision, status?.appliedRevision]));
      if (now !== last) quietSince = Date.now();
      last = now;
      const areDone = statuses.every((status) => status?.ready === true && status.revision === status.appliedRevision);
      return areDone && Date.now() - quietSince > settledMs;
    };
    await untilTrue('the agents have nothing left to do', revisions, 120_000);
  }
}

function lineOf({ minute, agents }: SoakSample, before: SoakSample | undefined, all: readonly SoakSample[]): string {
  const memory = agents.map(({ residentMb, heapMb }) => `${residentMb.toFixed(0)}/${heapMb.toFixed(0)}`).join(' ');
  const since = all.filter((one) => one.minute > minute - 1).flatMap(({ markerMs }) => markerMs);
  const sorted = since.toSorted((left, right) => left - right);
  const { meanMs, p99Ms, count } = latencyBetween(before?.agents ?? [], agents);
  const cpu = agents.map(({ cpuSeconds }, index) => cpuSeconds - (before?.agents[index]?.cpuSeconds ?? 0));
  return (
    `soak: minute ${minute.toFixed(0).padStart(3)}: resident/heap MB ${memory}; ${count} updates, mean ${meanMs.toFixed(1)} ms, ` +
    `p99 <= ${p99Ms} ms; file to kernels p50 ${(sorted[Math.floor(sorted.length / 2)] ?? 0).toFixed(0)} ms, ` +
    `max ${(sorted.at(-1) ?? 0).toFixed(0)} ms; CPU s ${cpu.map((one) => one.toFixed(1)).join(' ')}`
  );
}
