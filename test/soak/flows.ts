/** Flows that must be let through, and flows that must not, tried all the time. */
import { join } from 'node:path';
import { CommandError, streamLines } from '../../src/backends/exec.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { addressOf } from '../../src/lab/plan.ts';
import type { SoakAnswer, SoakProbe } from './probe-worker.ts';

export interface FlowFigures {
  readonly allowed: {
    readonly tried: number;
    readonly failed: number;
    readonly slow: number;
    readonly worstMs: number;
  };
  readonly denied: { readonly tried: number; readonly passed: number };
}

/** A SYN had to be sent again: one packet of an allowed flow was lost, or the machine was busy. */
const slowMs = 900;

export class SoakFlows {
  readonly #controller = new AbortController();
  readonly #workers: readonly Promise<void>[];
  readonly #problems: string[] = [];
  #allowed = { tried: 0, failed: 0, slow: 0, worstMs: 0 };
  #denied = { tried: 0, passed: 0 };

  constructor(lab: LabState) {
    const server = lab.pods.find(({ key }) => key === 'fixed/server');
    const [four, six] = (['ipv4', 'ipv6'] as const).map((family) => addressOf(server?.addresses ?? [], family));
    if (four === undefined || six === undefined) throw new Error('the server has no address');
    const probes = (id: string): readonly SoakProbe[] => [
      { id: `${id} ipv4`, address: four, port: 80 },
      { id: `${id} ipv6`, address: six, port: 80 },
      { id: `${id} Service`, address: '10.96.0.80', port: 80 },
    ];
    this.#workers = ['friend', 'mallory', 'neighbour'].map((pod) =>
      this.#follow(namespaceOf(lab, `fixed/${pod}`), probes(pod)),
    );
  }

  get figures(): FlowFigures {
    return { allowed: this.#allowed, denied: this.#denied };
  }

  /** The first wrong answers, with their times. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await Promise.all(this.#workers);
  }

  async #follow(netns: string, probes: readonly SoakProbe[]): Promise<void> {
    const worker = join(import.meta.dirname, 'probe-worker.ts');
    const argv = ['ip', 'netns', 'exec', netns, process.execPath, worker, JSON.stringify(probes)] as const;
    try {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by probe-worker.ts
      for await (const line of streamLines(argv, this.#controller.signal)) this.#note(JSON.parse(line) as SoakAnswer);
    } catch (error) {
      if (!(error instanceof CommandError && this.#controller.signal.aborted)) throw error;
    }
  }

  #note({ id, isAnswered, detail }: SoakAnswer): void {
    if (!id.startsWith('friend ')) {
      this.#denied.tried += 1;
      if (!isAnswered) return;
      this.#denied.passed += 1;
      this.#tell(`${id} was let through`);
      return;
    }
    this.#allowed.tried += 1;
    if (!isAnswered) {
      this.#allowed.failed += 1;
      this.#tell(`${id}: ${detail}`);
      return;
    }
    if (Number(detail) >= slowMs) {
      this.#allowed.slow += 1;
      this.#tell(`${id} took ${detail} ms`);
    }
    this.#allowed.worstMs = Math.max(this.#allowed.worstMs, Number(detail));
  }

  #tell(text: string): void {
    if (this.#problems.length < 50) this.#problems.push(`${new Date().toISOString()} ${text}`);
  }
}
