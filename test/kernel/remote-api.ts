/** The strict API server (test/fakes) as a process in a network namespace, where an agent can follow it, lose it and find it again. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Conversation } from '../../src/backends/exec.ts';
import { converse } from '../../src/backends/exec.ts';
import type { KubeApiCommand } from '../fakes/kube-api-worker.ts';
import { untilTrue } from './lab-fixture.ts';

/** Starts compete for the processors of whoever else tests here. */
const patienceMs = 50_000;

export class RemoteApi {
  readonly #conversation: Conversation;
  readonly #lines: string[] = [];

  /** `argv`: a certificate and its key, for HTTPS. */
  constructor(netns: string, argv: readonly string[] = []) {
    const worker = join(import.meta.dirname, '..', 'fakes', 'kube-api-worker.ts');
    const inside = ['nsenter', `--net=/run/netns/${netns}`, process.execPath, worker, ...argv] as const;
    this.#conversation = converse(inside, (line) => this.#lines.push(line));
  }

  async url(): Promise<string> {
    await untilTrue('the API server listens', () => this.#lines.length > 0, patienceMs);
    return this.#lines[0] ?? '';
  }

  /** One at a time. */
  async tell(command: KubeApiCommand): Promise<void> {
    const before = this.#lines.length;
    this.#conversation.write(`${JSON.stringify(command)}\n`);
    await untilTrue('the API server has done it', () => this.#lines.length > before, patienceMs);
  }

  kill(): void {
    this.#conversation.kill();
  }
}

/** Anybody's access to a server that asks for no credentials; `cluster` is more of what is said of it. Answers the file. */
export function writeKubeconfig(directory: string, server: string, cluster: object = {}): string {
  const file = join(directory, 'kubeconfig');
  const context = { cluster: 'c', user: 'u' };
  const config = {
    'current-context': 'x',
    contexts: [{ name: 'x', context }],
    clusters: [{ name: 'c', cluster: { server, ...cluster } }],
    users: [{ name: 'u', user: {} }],
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}
