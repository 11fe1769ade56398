/** Kernel settings that policy depends on: read, set where wrong, and told, never silently restored. */
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { IpFamily } from '../../lib/ip.ts';

/** By name (`net.ipv4.ip_forward`). /proc/sys/net shows the network namespace of whoever opens it. */
export interface SysctlAccess {
  /** Undefined: this kernel has no such setting (or its module is not loaded). */
  read(name: string): Promise<string | undefined>;
  write(name: string, value: string): Promise<void>;
}

export interface SysctlChange {
  readonly name: string;
  readonly before: string;
  readonly after: string;
}

export interface SysctlReport {
  readonly changes: readonly SysctlChange[];
  /** What could not be set, one sentence each: the agent is not ready while there are any. */
  readonly problems: readonly string[];
}

export interface SysctlNeeds {
  readonly families: readonly IpFamily[];
  /** Pods are behind a bridge: its frames must pass iptables, those with a VLAN tag too. */
  readonly bridge: boolean;
  /** nodePorts answer on 127.0.0.1: the kernel must route what was sent there. */
  readonly localnet?: boolean;
  /** How long conntrack keeps TCP connections, as kube-proxy sets it for Services. */
  readonly conntrackTimeouts?: boolean;
  /** How many connections conntrack must have room for; more is well. */
  readonly conntrackRoom?: number;
}

/** /proc/sys of this process, or the node's own where the chart mounts it. */
export const procSysctls: SysctlAccess = {
  // Done every few seconds: the kernel answers in microseconds, and a thread that waits for it costs ten times as much.
  read: async (name) => {
    try {
      return readFileSync(sysctlPath(name), 'utf8').trim();
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  },
  write: (name, value) => writeFile(sysctlPath(name), value),
};

/**
 * Container runtimes give a container without full privilege its /proc/sys read-only, and refuse a mount inside /proc: the
 * chart mounts the node's /proc/sys/net here, writable. It shows the same network namespace.
 */
const mountedNet = '/host/proc/sys/net';

/** `netDirectory`: for tests. */
export function sysctlPath(name: string, netDirectory = mountedNet): string {
  const path = name.replaceAll('.', '/');
  const [first = '', ...rest] = path.split('/');
  return first === 'net' && existsSync(netDirectory) ? join(netDirectory, ...rest) : `/proc/sys/${path}`;
}

/** Sets what is wrong. `before` is worth keeping: cleanup prints it. */
export async function ensureSysctls(needs: SysctlNeeds, access: SysctlAccess = procSysctls): Promise<SysctlReport> {
  const reports: SysctlReport[] = [];
  for (const needed of neededSysctls(needs)) reports.push(await ensureValue(needed, access));
  for (const floor of conntrackFloors(needs.conntrackRoom ?? 0)) reports.push(await ensureFloor(floor, access));
  return {
    changes: reports.flatMap(({ changes }) => changes),
    problems: reports.flatMap(({ problems }) => problems),
  };
}

async function ensureValue({ name, hint, value = '1' }: NeededSysctl, access: SysctlAccess): Promise<SysctlReport> {
  const before = await access.read(name);
  if (before === value) return nothingToTell;
  if (before === undefined) return { changes: [], problems: [`sysctl ${name} is not there: ${hint}`] };
  const problem = await set(name, value, access);
  if (problem !== undefined) return { changes: [], problems: [problem.text] };
  return { changes: [{ name, before, after: value }], problems: [] };
}

/** Where conntrack is not loaded its timeouts say so. */
async function ensureFloor({ name, value }: Floor, access: SysctlAccess): Promise<SysctlReport> {
  const before = await access.read(name);
  if (before === undefined || Number(before) >= value) return nothingToTell;
  const after = String(value);
  const problem = await set(name, after, access);
  if (problem === undefined) return { changes: [{ name, before, after }], problems: [] };
  return problem.isForbidden ? nothingToTell : { changes: [], problems: [problem.text] };
}

const nothingToTell: SysctlReport = { changes: [], problems: [] };

/** INVALID must not be dropped where conntrack is told to be liberal about TCP windows. */
export async function readConntrackLiberal(access: SysctlAccess = procSysctls): Promise<boolean> {
  return (await access.read('net.netfilter.nf_conntrack_tcp_be_liberal')) === '1';
}

interface NeededSysctl {
  readonly name: string;
  /** Why it may be missing. */
  readonly hint: string;
  /** Default 1. */
  readonly value?: string;
}

interface Floor {
  readonly name: string;
  readonly value: number;
}

/** kube-proxy.md 2.8: a client that half-closed may take an hour, a quiet connection a day. */
const conntrackTimeouts: readonly NeededSysctl[] = [
  { name: 'net.netfilter.nf_conntrack_tcp_timeout_close_wait', value: '3600' },
  { name: 'net.netfilter.nf_conntrack_tcp_timeout_established', value: '86400' },
].map((timeout) => ({ ...timeout, hint: 'the kernel module nf_conntrack is not loaded' }));

/** kube-proxy.md 2.8. They are the machine's: from another network namespace than the first they can be read alone. */
function conntrackFloors(connections: number): readonly Floor[] {
  if (connections === 0) return [];
  return [
    { name: 'net.netfilter.nf_conntrack_max', value: connections },
    { name: 'net.netfilter.nf_conntrack_buckets', value: connections / 4 },
  ];
}

function neededSysctls(needs: SysctlNeeds): readonly NeededSysctl[] {
  const { families, bridge, localnet = false } = needs;
  const hint = 'the kernel module br_netfilter must be loaded where pods are behind a bridge';
  const bridgeNames = ['call-iptables', 'call-ip6tables', 'filter-vlan-tagged'];
  return [
    ...(families.includes('ipv4') ? [{ name: 'net.ipv4.ip_forward', hint: 'IPv4 is not in this kernel' }] : []),
    ...(families.includes('ipv6')
      ? [{ name: 'net.ipv6.conf.all.forwarding', hint: 'IPv6 is not in this kernel' }]
      : []),
    ...(localnet ? [{ name: 'net.ipv4.conf.all.route_localnet', hint: 'IPv4 is not in this kernel' }] : []),
    ...(needs.conntrackTimeouts === true ? conntrackTimeouts : []),
    ...(bridge ? bridgeNames.map((name) => ({ name: `net.bridge.bridge-nf-${name}`, hint })) : []),
  ];
}

interface Problem {
  readonly text: string;
  /** The kernel lets nobody write it here. */
  readonly isForbidden: boolean;
}

/** Read back: a read-only /proc/sys of a container without privilege may swallow the write. */
async function set(name: string, value: string, access: SysctlAccess): Promise<Problem | undefined> {
  const text = `sysctl ${name} cannot be set to ${value}`;
  try {
    await access.write(name, value);
    return (await access.read(name)) === value ? undefined : { text, isForbidden: false };
  } catch (error) {
    return {
      text: `${text}: ${error instanceof Error ? error.message : String(error)}`,
      isForbidden: hasCode(error, 'EACCES') || hasCode(error, 'EPERM'),
    };
  }
}

function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT');
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
