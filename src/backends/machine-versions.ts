/** Versions of the programs and the kernel that the agent works with, for people and for metrics. */
import { release } from 'node:os';
import type { MachineVersions } from '../telemetry/status.ts';
import type { Run } from './exec.ts';
import type { IptablesVariant } from './iptables/variant.ts';
import { programName } from './iptables/variant.ts';
import { versionOf } from './preflight.ts';

export async function readMachineVersions(run: Run, variant: IptablesVariant): Promise<MachineVersions> {
  const [iptables, ipset] = await Promise.all([
    versionOf(run, [programName('ipv4', variant, 'restore'), '--version']),
    versionOf(run, ['ipset', 'version']),
  ]);
  return { iptables: numberIn(iptables), ipset: numberIn(ipset), kernel: release() };
}

/** `iptables-restore v1.8.9 (nf_tables)`, `ipset v7.17, protocol version: 7` */
function numberIn(line = ''): string {
  return /\bv(\d[\w.-]*)/.exec(line)?.[1] ?? '';
}
