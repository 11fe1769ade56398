/** Carries out a plan's wiring with `ip`, a few processes for each namespace. Nothing here acts in the machine's own namespace. */
import { mkdir, readdir, rmdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { CommandError, run } from '../backends/exec.ts';
import { LabError } from './lab-error.ts';
import { labOfNamespace } from './names.ts';
import type { LabPlan } from './plan.ts';
import { hasCode } from './run-directory.ts';
import type { Batch } from './wiring.ts';
import { networkBatches } from './wiring.ts';

const netnsDirectory = '/run/netns';
/** `ip netns exec NAME` mounts the files of /etc/netns/NAME over those of /etc. */
const etcNetns = '/etc/netns';

/** The underlay, the outside client and the nodes; pods come later, one by one. */
export async function buildNetwork(plan: LabPlan): Promise<void> {
  const routers = [plan.underlay.netns, ...[...plan.nodes.values()].map((node) => node.netns)];
  await addNamespaces([...routers, plan.outside.netns]);
  for (const netns of routers) await enableForwarding(netns, plan);
  for (const batch of networkBatches(plan)) await runBatch(batch);
}

/** Makes network namespaces by one process. */
export async function addNamespaces(names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  try {
    await run(['ip', '-batch', '-'], { input: lines(names.map((name) => `netns add ${name}`)) });
  } catch (error) {
    throw explained(error, 'cannot make network namespaces');
  }
}

/** Removes namespaces and what they hold; a name that is gone already is no error. */
export async function removeNamespaces(names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  try {
    await run(['ip', '-force', '-batch', '-'], { input: lines(names.map((name) => `netns del ${name}`)) });
  } catch (error) {
    const left = await namespacesOf(() => true);
    const remaining = names.filter((name) => left.includes(name));
    if (remaining.length > 0) throw explained(error, `cannot remove network namespaces ${remaining.join(', ')}`);
  }
}

/** A second name of a namespace, so that a pod of the host network is entered like any other. */
export async function aliasNamespace(netns: string, alias: string): Promise<void> {
  await writeFile(join(netnsDirectory, alias), '', { flag: 'wx', mode: 0o444 });
  await run(['mount', '--bind', join(netnsDirectory, netns), join(netnsDirectory, alias)]);
}

/** Namespaces of labs, by the lab's name. */
export async function namespacesOf(isWanted: (lab: string) => boolean): Promise<readonly string[]> {
  return (await entriesOf(netnsDirectory)).filter((name) => isLabs(name, isWanted));
}

/** Commands in one namespace by one process; an error names the command. */
export async function runBatch(batch: Batch): Promise<void> {
  if (batch.lines.length === 0) return;
  try {
    await run(['ip', '-n', batch.netns, '-batch', '-'], { input: lines(batch.lines) });
  } catch (error) {
    throw explained(error, `cannot wire ${batch.netns}`, batch.lines);
  }
}

/** Runs tasks a few at a time: the machine has few processors, and the kernel's network lock is one. */
export async function inParallel<T>(items: readonly T[], task: (item: T) => Promise<void>): Promise<void> {
  const queue = new PQueue({ concurrency: 4 });
  await queue.addAll(items.map((item) => () => task(item)));
}

/** Files for `/etc` of a namespace: those of `directory`. */
export async function linkEtc(netns: string, directory: string): Promise<void> {
  await mkdir(etcNetns, { recursive: true });
  await unlinkEtc(netns);
  await symlink(directory, join(etcNetns, netns));
}

export async function unlinkEtc(netns: string): Promise<void> {
  try {
    await unlink(join(etcNetns, netns));
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
}

/** Removes the /etc of labs, and /etc/netns with the last entry. */
export async function removeEtc(isWanted: (lab: string) => boolean): Promise<void> {
  const names = (await entriesOf(etcNetns)).filter((name) => isLabs(name, isWanted));
  for (const name of names) await unlinkEtc(name);
  if (names.length === 0) return;
  try {
    await rmdir(etcNetns);
  } catch (error) {
    if (!hasCode(error, 'ENOTEMPTY') && !hasCode(error, 'ENOENT')) throw error;
  }
}

/** /proc/sys/net shows the namespace of who opens it; `tee` is on every Debian, `sysctl` is not. */
async function enableForwarding(netns: string, plan: LabPlan): Promise<void> {
  const files = plan.families.map((family) =>
    family === 'ipv4' ? '/proc/sys/net/ipv4/ip_forward' : '/proc/sys/net/ipv6/conf/all/forwarding',
  );
  try {
    await run(['nsenter', `--net=${join(netnsDirectory, netns)}`, 'tee', ...files], { input: '1\n' });
  } catch (error) {
    throw explained(error, `cannot switch on forwarding in ${netns}`);
  }
}

function explained(error: unknown, what: string, commands: readonly string[] = []): unknown {
  if (!(error instanceof CommandError)) return error;
  const failedAt = Number(/Command failed -:(\d+)/.exec(error.stderr)?.[1]);
  const command = commands[failedAt - 1];
  const reason = error.stderr.replace(/Command failed -:\d+/g, '').trim() || error.message;
  const isMachine = error.isMissing || /not permitted|not supported|unknown device type/i.test(error.stderr);
  const message = `${what}: ${reason}${command === undefined ? '' : ` (ip ${command})`}`;
  return new LabError(isMachine ? 'machine' : 'failure', message, { cause: error });
}

function isLabs(netns: string, isWanted: (lab: string) => boolean): boolean {
  const lab = labOfNamespace(netns);
  return lab !== undefined && isWanted(lab);
}

async function entriesOf(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

function lines(commands: readonly string[]): string {
  return `${commands.join('\n')}\n`;
}
