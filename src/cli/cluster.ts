/** Where the cluster comes from: a directory of manifests, a kubeconfig, or the running agent. */
import type { Command } from 'commander';
import { Option } from 'commander';
import type { ClusterState } from '../cluster/state.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { formatDiagnostic } from '../lib/diagnostic.ts';
import type { IpFamily } from '../lib/ip.ts';
import { askAgent, socketPath } from './agent-client.ts';
import { CliError, exitCodes } from './exit-code.ts';
import type { ExitCode } from './exit-code.ts';
import type { CommandIo } from './io.ts';

export interface ClusterChoice {
  readonly manifests?: string;
  readonly kubeconfig?: string;
  readonly runDir?: string;
}

export interface LoadedCluster {
  readonly state: ClusterState;
  readonly diagnostics: readonly Diagnostic[];
  /** Socket of the agent that it came from. Absent: manifests, or an API server. */
  readonly socket?: string;
  /** Manifests: nodes are taken to be as a lab makes them. */
  readonly isLab?: boolean;
}

/** Adds `--manifests`, `--kubeconfig` and `--run-dir`. */
export function addClusterOptions(command: Command): Command {
  return command
    .option('--manifests <dir>', 'directory of manifests to take as the cluster')
    .option('--kubeconfig <file>', 'kubeconfig of the cluster to ask')
    .option('--run-dir <dir>', "run directory of the agent to ask (default: SLUICE_RUN_DIR, or '/run/sluice')");
}

/** `--ip-family`: of `explain`, `matrix` and `test`, which ask about one at a time. */
export function ipFamilyOption(): Option {
  const description = "the IP family to ask about (default: the destination's first that both ends have)";
  return new Option('--ip-family <family>', description).choices(['ipv4', 'ipv6']);
}

/** Of addresses that manifests leave out: IPv4, as a lab gives them, and the one that is asked about. */
export function familiesFor(asked: IpFamily | undefined): readonly IpFamily[] {
  return asked === 'ipv6' ? ['ipv4', 'ipv6'] : ['ipv4'];
}

/** The cluster and its diagnostics. `ipFamilies`: of the addresses that manifests leave out; absent: IPv4. */
export async function loadCluster(
  choice: ClusterChoice,
  io: CommandIo,
  ipFamilies?: readonly IpFamily[],
): Promise<LoadedCluster> {
  if (choice.manifests !== undefined && choice.kubeconfig !== undefined) {
    throw new CliError(exitCodes.badInput, '--manifests and --kubeconfig: both are given, expected one');
  }
  if (choice.kubeconfig !== undefined) return fromKubernetes(choice.kubeconfig);
  if (choice.manifests !== undefined) return fromManifests(choice.manifests, ipFamilies);
  return fromAgent(socketPath(choice.runDir, io));
}

/** Where both are so: whoever mends the input may find that nothing else was wrong. */
export function exitCodeOf(badInput: ExitCode, isAsExpected: boolean): ExitCode {
  if (badInput !== exitCodes.done) return badInput;
  return isAsExpected ? exitCodes.done : exitCodes.failed;
}

/** Prints them to standard error; the exit code that they ask for. */
export function reportDiagnostics(
  diagnostics: readonly Diagnostic[],
  io: CommandIo,
): typeof exitCodes.done | typeof exitCodes.badInput {
  for (const diagnostic of diagnostics) io.error(`${formatDiagnostic(diagnostic)}\n`);
  return diagnostics.some(({ severity }) => severity === 'error') ? exitCodes.badInput : exitCodes.done;
}

/** Rejects with KubeConfigError or KubeApiError. */
async function fromKubernetes(kubeconfig: string): Promise<LoadedCluster> {
  const [{ kubeconfigAccess }, { KubeClient }, { loadKubeCluster }] = await Promise.all([
    import('../kube/kubeconfig.ts'),
    import('../kube/kube-client.ts'),
    import('../kube/load-cluster.ts'),
  ]);
  const client = new KubeClient({ access: kubeconfigAccess(kubeconfig), userAgent: 'sluice' });
  try {
    return await loadKubeCluster(client, new AbortController().signal);
  } finally {
    client.close();
  }
}

async function fromManifests(directory: string, ipFamilies: readonly IpFamily[] | undefined): Promise<LoadedCluster> {
  const [{ loadManifests }, { clusterDefaults }, { withOpenablePaths }] = await Promise.all([
    import('../manifests/load-manifests.ts'),
    import('../manifests/defaults.ts'),
    import('./openable-paths.ts'),
  ]);
  const loaded = await loadManifests(directory, clusterDefaults(ipFamilies === undefined ? {} : { ipFamilies }));
  return { ...withOpenablePaths(loaded, directory), isLab: true };
}

async function fromAgent(socket: string): Promise<LoadedCluster> {
  const encoded = await askAgent(socket, '/api/state');
  if (encoded === undefined) {
    throw new CliError(
      exitCodes.unreachable,
      `no cluster: nothing answers at ${socket}. Give --manifests DIR, or --kubeconfig FILE, or start the agent (sluice agent)`,
    );
  }
  const [{ decodeState }, found] = await Promise.all([
    import('../server/state-codec.ts'),
    askAgent(socket, '/api/diagnostics'),
  ]);
  const state = decodeState(encoded);
  if (state === undefined) {
    throw new CliError(exitCodes.unreachable, `the agent at ${socket} is of another version; use its own command line`);
  }
  return { state, socket, diagnostics: diagnosticsOf(found) };
}

function diagnosticsOf(answer: unknown): readonly Diagnostic[] {
  const hasList = typeof answer === 'object' && answer !== null && 'diagnostics' in answer;
  if (!hasList || !Array.isArray(answer.diagnostics)) return [];
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own encoding, of the version that was compared
  return answer.diagnostics as readonly Diagnostic[];
}
