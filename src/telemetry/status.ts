/** What a running agent tells about itself: the bodies of /api/status, /api/endpoints and /api/diagnostics. Immutable snapshots. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { PartStatus } from './readiness.ts';

export interface AgentStatus {
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly ready: boolean;
  readonly parts: readonly PartStatus[];
  /** `manifests /path`; the cluster's source. */
  readonly source: string;
  readonly ipFamilies: readonly string[];
  /** Absent until it is known. */
  readonly iptablesBackend?: 'nft' | 'legacy';
  /** Of what it works with. Absent until they are known. */
  readonly versions?: MachineVersions;
  /** Revision of the cluster as it is known, and as it is in the kernel; equal when nothing is waiting. */
  readonly revision: number;
  readonly appliedRevision: number;
  /** Rules and chains of former revisions are still there, out of reach: they go when it is calm (docs/dataplane.md). */
  readonly leftBehind: boolean;
  /** Kind to how many are known. */
  readonly objects: Readonly<Record<string, number>>;
  readonly chains: number;
  readonly rules: number;
  readonly ipSets: number;
  readonly ipSetMembers: number;
  readonly endpoints: { readonly known: number; readonly programmed: number };
  readonly diagnostics: { readonly errors: number; readonly warnings: number };
  readonly driftRepairs: number;
  /** From the arrival of a change to its rules in the kernel, over the latest changes. Absent: there were none. */
  readonly programmingLatency?: { readonly count: number; readonly p50Ms: number; readonly p99Ms: number };
  readonly failures: number;
  /** The last time that something was written. Absent: never. */
  readonly lastUpdate?: { readonly at: string; readonly durationMs: number };
  /** The last failure that was not yet followed by a success. */
  readonly lastFailure?: { readonly at: string; readonly message: string };
}

/** Empty text: it would not say. */
export interface MachineVersions {
  readonly iptables: string;
  readonly ipset: string;
  readonly kernel: string;
}

/** A pod of this node that is policed. */
export interface EndpointStatus {
  /** `namespace/name` */
  readonly pod: string;
  readonly addresses: readonly string[];
  /** Host side of its veth, where it was found. */
  readonly interface?: string;
  /** Its chains are in the kernel and its addresses in the set of known pods. */
  readonly programmed: boolean;
  /** ISO 8601: since when, with the interface and the policies that it has now. Absent: it is not. */
  readonly programmedSince?: string;
  /** Why it is not programmed. */
  readonly reason?: string;
  /** Ids of the policies that isolate it. */
  readonly ingress: readonly string[];
  readonly egress: readonly string[];
  readonly profiles: readonly string[];
}

export interface EndpointList {
  /** Revision of the cluster that is in the kernel. */
  readonly appliedRevision: number;
  readonly endpoints: readonly EndpointStatus[];
}

export interface DiagnosticList {
  readonly diagnostics: readonly Diagnostic[];
}
