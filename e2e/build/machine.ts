/** What building needs of the machine, and one clear message where it is missing. */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import type { Argv } from '../../src/backends/exec.ts';
import { CommandError, run } from '../../src/backends/exec.ts';

/** The machine lacks something (a program, a right, a package source): exit code 3. */
export class MachineError extends Error {
  override readonly name = 'MachineError';
}

/** What Kubernetes' and containerd's modules ask for. */
const goNeeded = [1, 26] as const;

/** Throws MachineError unless a Go that is new enough is on the PATH. */
export async function checkGo(): Promise<void> {
  const wanted = `the e2e cluster is built with Go ${goNeeded.join('.')} or newer (https://go.dev/dl)`;
  let version: string;
  try {
    version = (await run(['go', 'env', 'GOVERSION'])).stdout.trim();
  } catch (error) {
    if (error instanceof CommandError) throw new MachineError(`${wanted}: ${error.message}`, { cause: error });
    throw error;
  }
  const [, major = '0', minor = '0'] = /^go(\d+)\.(\d+)/.exec(version) ?? [];
  const isEnough = Number(major) > goNeeded[0] || (Number(major) === goNeeded[0] && Number(minor) >= goNeeded[1]);
  if (!isEnough) throw new MachineError(`${wanted}; this is ${version}`);
}

/** Downloads a Debian package into `folder`; its path. The lists of a fresh machine are fetched first. */
export async function packageOf(
  name: string,
  folder: string,
  runIn: (argv: Argv, folder: string) => Promise<void>,
): Promise<string> {
  const download: Argv = ['apt-get', '-o', 'APT::Sandbox::User=root', 'download', name];
  try {
    await runIn(download, folder);
  } catch {
    try {
      await runIn(['apt-get', 'update', '-qq'], folder);
      await runIn(download, folder);
    } catch (error) {
      throw new MachineError(`the Debian package ${name} cannot be fetched: ${messageOf(error)}`, { cause: error });
    }
  }
  const [file] = globSync('*.deb', { cwd: folder });
  if (file === undefined) throw new MachineError(`apt-get download ${name} left no package in ${folder}`);
  return join(folder, file);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
