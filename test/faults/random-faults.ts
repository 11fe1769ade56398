/**
 * Random faults around one real agent, under packets that never stop. Rounds of two parts: what must not let one wrong packet through
 * (deaths, changes, programs that hang or fail), then one disturbance by somebody else, which must be mended in time.
 */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { namespaceOf } from '../../src/lab/exec.ts';
import { pause, runDirectory } from '../../src/lab/run-directory.ts';
import { AgentProcess, cleanNode, type AgentPlace } from '../kernel/agent-process.ts';
import { watchedFlows } from '../kernel/changing-states.ts';
import { addForeignRules } from '../kernel/foreign-rules.ts';
import { foreignImageOf, imageOf, ownImageOf } from '../kernel/kernel-image.ts';
import { testLab, untilTrue, type TestLab } from '../kernel/lab-fixture.ts';
import { PacketWatch } from '../kernel/packet-watch.ts';
import { slowness } from '../kernel/slowness.ts';
import { policiesIn, randomState } from './random-state.ts';
import { Random } from './random.ts';
import { tamperings } from './tampering.ts';

export interface FaultRun {
  readonly seed: number;
  readonly seconds: number;
  readonly cni: 'ptp' | 'bridge';
  readonly variant: 'nft' | 'legacy';
  /** Told of every fault before it is done. */
  readonly say: (line: string) => void;
}

export interface FaultReport {
  readonly rounds: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Packets sent for each watched flow. */
  readonly packets: number;
  /** The longest time to mend, by kind of disturbance, in milliseconds. */
  readonly mendedWithinMs: Readonly<Record<string, number>>;
  /** Empty: every promise held. */
  readonly problems: readonly string[];
}

const families = ['ipv4', 'ipv6'] as const;
const resyncSeconds = 5;

const stateName = (count: number): string => `state-${count}`;

export async function runFaults(options: FaultRun): Promise<FaultReport> {
  const random = new Random(options.seed);
  const state = randomState(random, stateName(0));
  const lab = await testLab({ 'cluster.yaml': state }, { cni: options.cni, ipFamilies: families, agents: false });
  const temporary = await mkdtemp(join(tmpdir(), 'sluice-faults-'));
  const bench = new Bench(options, { lab, temporary, random, state });
  try {
    return await bench.run();
  } finally {
    await bench.end();
    await lab.down();
    await rm(temporary, { recursive: true });
  }
}

interface BenchParts {
  readonly lab: TestLab;
  readonly temporary: string;
  readonly random: Random;
  readonly state: string;
}

class Bench {
  readonly #options: FaultRun;
  readonly #lab: TestLab;
  readonly #random: Random;
  readonly #place: AgentPlace;
  readonly #faultFile: string;
  readonly #counts: Record<string, number> = {};
  readonly #mended: Record<string, number> = {};
  readonly #problems: string[] = [];
  #agent: AgentProcess | undefined;
  #state: string;
  #states = 0;
  #packets = 0;

  constructor(options: FaultRun, { lab, temporary, random, state }: BenchParts) {
    this.#options = options;
    this.#lab = lab;
    this.#random = random;
    this.#state = state;
    this.#faultFile = join(temporary, 'fault');
    const path = process.env['PATH'] ?? '';
    this.#place = {
      netns: namespaceOf(lab.state, 'node/node-a'),
      node: 'node-a',
      manifests: runDirectory(lab.name).cluster,
      runDir: join(temporary, 'run'),
      variant: options.variant,
      flags: ['--resync-seconds', String(resyncSeconds)],
      env: { PATH: `${join(temporary, 'bin')}:${path}`, FAULT_REAL_PATH: path, FAULT_FILE: this.#faultFile },
    };
  }

  async run(): Promise<FaultReport> {
    await mkdir(this.#place.runDir);
    await this.#putPrograms();
    await addForeignRules(this.#place);
    this.#agent = await AgentProcess.start(this.#place);
    const deadline = Date.now() + this.#options.seconds * 1000;
    let rounds = 0;
    while (Date.now() < deadline && this.#problems.length === 0) {
      rounds += 1;
      const foreign = await foreignImageOf(this.#place);
      await this.#watchedRound();
      if ((await foreignImageOf(this.#place)) !== foreign) this.#problems.push('what is not ours was changed');
      await this.#disturb();
    }
    await this.#compareWithFreshStart();
    return {
      rounds,
      faults: this.#counts,
      packets: this.#packets,
      mendedWithinMs: this.#mended,
      problems: this.#problems,
    };
  }

  async end(): Promise<void> {
    await this.#agent?.end('SIGKILL');
  }

  /** Some faults, one after the other, under packets. */
  async #watchedRound(): Promise<void> {
    const watch = await PacketWatch.start({ lab: this.#lab.state, families, ...watchedFlows });
    try {
      const faults = [
        () => this.#die(),
        () => this.#change(),
        () => this.#dieChanging(),
        () => this.#changeWhileDead(),
        () => this.#hang(),
        () => this.#fail(),
      ];
      for (let count = 2 + this.#random.below(4); count > 0; count -= 1) await this.#random.of(faults)();
      await this.#untilSettled();
    } finally {
      const { leaked, lost, least } = await watch.stop();
      this.#packets += least;
      for (const flow of leaked) this.#problems.push(`packets got through: ${flow}`);
      for (const flow of lost) this.#problems.push(`packets were lost: ${flow}`);
    }
  }

  async #die(): Promise<void> {
    const signal = this.#random.of(['SIGKILL', 'SIGKILL', 'SIGTERM'] as const);
    this.#note(signal);
    await this.#agent?.end(signal);
    await this.#launch();
  }

  async #change(): Promise<void> {
    this.#note('change');
    await this.#writeNextState();
    if (this.#random.isTrue()) await pause(this.#random.below(300));
    else await this.#untilSettled();
  }

  async #dieChanging(): Promise<void> {
    this.#note('SIGKILL while changing');
    await this.#writeNextState();
    await pause(this.#random.below(400));
    await this.#agent?.end('SIGKILL');
    await this.#launch();
  }

  async #changeWhileDead(): Promise<void> {
    this.#note('change while dead');
    await this.#agent?.end('SIGKILL');
    await this.#writeNextState();
    await this.#launch();
  }

  async #hang(): Promise<void> {
    this.#note('hanging program');
    await writeFile(this.#faultFile, `hang ${(0.5 + this.#random.next() * 2).toFixed(1)}`);
    await this.#change();
  }

  async #fail(): Promise<void> {
    this.#note('failing program');
    await writeFile(this.#faultFile, `fail ${1 + this.#random.below(6)}`);
    await this.#change();
  }

  /** Its rules are taken away for a moment: what counts is how soon they are back. */
  async #disturb(): Promise<void> {
    const tampering = this.#random.of(tamperings(this.#options.variant));
    this.#note(tampering.name);
    await this.#agent?.untilTidy();
    const before = await ownImageOf(this.#place);
    // In a burst of changes that ends where it began, old rules lie below new ones.
    const isBurst = this.#random.isTrue();
    const [state, name] = [this.#state, stateName(this.#states)];
    if (isBurst) {
      await this.#writeNextState();
      await this.#untilSettled();
    }
    await tampering.act(this.#place, this.#random);
    if (isBurst) await this.#writeState((next) => state.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), next));
    const started = Date.now();
    const limit = (isBurst ? 8000 : 4000) * slowness() + 2000;
    try {
      await untilTrue(tampering.name, async () => (await ownImageOf(this.#place)) === before, limit);
      this.#mended[tampering.name] = Math.max(this.#mended[tampering.name] ?? 0, Date.now() - started);
    } catch {
      const left = difference(before, await ownImageOf(this.#place));
      this.#problems.push(`not mended within ${Math.round(limit)} ms: ${tampering.name}: ${left}`);
    }
  }

  async #compareWithFreshStart(): Promise<void> {
    await this.#untilSettled();
    const image = await imageOf(this.#place);
    await this.#agent?.end('SIGTERM');
    await cleanNode(this.#place);
    this.#agent = await AgentProcess.start(this.#place);
    await this.#untilSettled();
    if ((await imageOf(this.#place)) !== image) this.#problems.push('the end differs from what a fresh agent writes');
    await this.#agent.end('SIGTERM');
    await cleanNode(this.#place);
  }

  async #launch(): Promise<void> {
    await pause(this.#random.below(300));
    this.#agent = AgentProcess.launch(this.#place);
    if (this.#random.isTrue()) await pause(this.#random.below(1000));
    else await this.#untilSettled();
  }

  async #writeNextState(): Promise<void> {
    await this.#writeState((name) => randomState(this.#random, name));
  }

  async #writeState(make: (name: string) => string): Promise<void> {
    this.#states += 1;
    this.#state = make(stateName(this.#states));
    await this.#lab.write('cluster.yaml', this.#state);
  }

  async #untilSettled(): Promise<void> {
    await this.#agent?.untilKnown(`default/${stateName(this.#states)}`);
    await this.#agent?.untilSettled(policiesIn(this.#state));
  }

  #note(fault: string): void {
    this.#counts[fault] = (this.#counts[fault] ?? 0) + 1;
    this.#options.say(fault);
  }

  async #putPrograms(): Promise<void> {
    const directory = join(this.#faultFile, '..', 'bin');
    await mkdir(directory);
    const script = await readFile(join(import.meta.dirname, 'fault-point.pl'), 'utf8');
    const { variant } = this.#options;
    for (const name of [`iptables-${variant}-restore`, `ip6tables-${variant}-restore`, 'ipset', 'stdbuf']) {
      await writeFile(join(directory, name), `#!/usr/bin/perl\n${script}`);
      await chmod(join(directory, name), 0o755);
    }
  }
}

/** The lines that one text has and the other has not, those that came with a plus. */
function difference(before: string, after: string): string {
  const [had, has] = [before.split('\n'), after.split('\n')];
  const gone = had.filter((line) => !has.includes(line)).map((line) => `- ${line}`);
  const come = has.filter((line) => !had.includes(line)).map((line) => `+ ${line}`);
  return [...gone, ...come].slice(0, 10).join(' | ') || 'the same lines in another order, or another number of times';
}
