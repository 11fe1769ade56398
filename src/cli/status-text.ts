import type { AgentStatus } from '../telemetry/status.ts';
import { terminalPaint } from './paint.ts';

/** The agent in one screen, for people. */
export function statusText(status: AgentStatus, colour: boolean): string {
  const paint = terminalPaint(colour);
  const ready = status.ready ? paint.good('ready') : paint.bad('NOT READY');
  const waiting = status.revision === status.appliedRevision ? 'in the kernel' : `kernel has ${status.appliedRevision}`;
  const { endpoints, diagnostics, lastUpdate, lastFailure } = status;
  const lines: readonly (readonly [string, string])[] = [
    ['Agent', `${ready}, version ${status.version}, pid ${status.pid}, since ${status.startedAt}`],
    ['Node', `${status.node} (${status.ipFamilies.join(', ')})`],
    ['Machine', machineText(status)],
    ['Source', status.source],
    ['Cluster', `revision ${status.revision}, ${waiting}: ${countsText(status.objects)}`],
    ['Pods here', `${endpoints.programmed} of ${endpoints.known} programmed`],
    [
      'Kernel',
      `${status.chains} chains, ${status.rules} rules, ${status.ipSets} sets with ${status.ipSetMembers} members`,
    ],
    ['Mistakes', `${diagnostics.errors} errors, ${diagnostics.warnings} warnings (sluice get diagnostics)`],
    ['Repairs', `${status.driftRepairs} of drift, ${status.failures} failed updates`],
    ['Last write', lastUpdate === undefined ? 'none' : `${lastUpdate.at}, ${lastUpdate.durationMs} ms`],
    ['Latency', latencyText(status.programmingLatency)],
    ...(lastFailure === undefined ? [] : [['Failing', `${lastFailure.at}: ${lastFailure.message}`] as const]),
    ...status.parts
      .filter(({ reason }) => reason !== undefined)
      .map(({ part, reason }) => ['Waiting for', `${part}: ${reason}`] as const),
  ];
  return lines.map(([name, text]) => `${`${name}:`.padEnd(13)}${text}\n`).join('');
}

function machineText({ iptablesBackend, versions }: AgentStatus): string {
  const { iptables = '', ipset = '', kernel = '' } = versions ?? {};
  const named = (what: string, version: string): string => `${what} ${version === '' ? '(version unknown)' : version}`;
  return `${named('iptables', iptables)} (${iptablesBackend ?? 'not known yet'}), ${named('ipset', ipset)}, ${named('kernel', kernel)}`;
}

/** From the arrival of a change to its rules in the kernel. */
function latencyText(latency: AgentStatus['programmingLatency']): string {
  if (latency === undefined) return 'no change yet';
  const { count, p50Ms, p99Ms } = latency;
  return `${p50Ms} ms (p50), ${p99Ms} ms (p99) from change to kernel, of the last ${count} changes`;
}

function countsText(objects: AgentStatus['objects']): string {
  const counts = Object.entries(objects).map(([kind, count]) => `${count} ${kind}`);
  return counts.length === 0 ? 'empty' : counts.join(', ');
}
