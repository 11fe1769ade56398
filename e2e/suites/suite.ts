/** What a suite is: it runs against a cluster and answers with one result for each of its cases. */
import type { Argv } from '../../src/backends/exec.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { CniKind } from '../cluster/node-config.ts';

export interface CaseResult {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly seconds: number;
  /** Why it failed or was skipped. */
  readonly message?: string;
}

/** The cluster that is tested: built here, or anybody's. */
export interface Target {
  readonly kubeconfig: string;
  readonly nodeNames: readonly string[];
  /** `argv`, to be run where the API server and the nodes can be reached. */
  inside(argv: Argv): Argv;
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** Absent: not built here, so its nodes cannot be entered. */
  readonly cluster?: Cluster;
}

export interface SuiteContext {
  readonly target: Target;
  readonly cni: CniKind;
  /** Everything, not the fixed part. */
  readonly isFull: boolean;
  /** How many of upstream's test programs share a suite's specs, beside each other. */
  readonly processes: number;
  /** Of case names: only these. */
  readonly focus?: string;
  /** Folder for logs and reports of this suite on this cluster. */
  readonly results: string;
  readonly progress: (line: string) => void;
}

/** What serves Services and policies: Sluice, or kube-proxy (and no policy) to compare with, or nothing. */
export type Proxy = 'sluice' | 'kube-proxy' | 'none';

/** Runs on a cluster, once on each of `cnis`. */
export interface ClusterSuite {
  readonly name: string;
  readonly cnis: readonly CniKind[];
  /** All of it enters the nodes, which only those of a cluster that is built here let it. */
  readonly entersNodes?: boolean;
  /** What serves the cluster that it begins with, whatever the command line says. */
  readonly proxy?: Proxy;
  run(context: SuiteContext): Promise<readonly CaseResult[]>;
}

/** Brings what it needs by itself. */
export interface LoneSuite {
  readonly name: string;
  runAlone(context: Omit<SuiteContext, 'target' | 'cni'>): Promise<readonly CaseResult[]>;
}

export type Suite = ClusterSuite | LoneSuite;
