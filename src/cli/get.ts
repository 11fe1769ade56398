import type { Command } from 'commander';
import { Option } from 'commander';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { addClusterOptions, loadCluster, reportDiagnostics } from './cluster.ts';
import type { ClusterChoice, LoadedCluster } from './cluster.ts';
import { examples } from './examples.ts';
import { CliError, exitCodes } from './exit-code.ts';
import { diagnosticTable } from './get/diagnostics.ts';
import { ipSetTable } from './get/ip-sets.ts';
import { getKindOf, getKinds } from './get/kinds.ts';
import type { GetKind } from './get/kinds.ts';
import { networkPolicyTable } from './get/network-policies.ts';
import { formatResources } from './get/format-resources.ts';
import type { NodeServicePlan } from './get/load-service-plan.ts';
import type { ResourceTable } from './get/resource.ts';
import { serviceTable } from './get/services.ts';
import { workloadEndpointTable } from './get/workload-endpoints.ts';
import type { CommandIo } from './io.ts';
import { outputOption } from './output.ts';
import type { OutputFormat } from './output.ts';

interface GetOptions extends ClusterChoice {
  readonly namespace?: string;
  readonly allNamespaces?: boolean;
  readonly node?: string;
  readonly output?: OutputFormat;
}

/** `sluice get KIND [NAME...]` */
export function addGetCommand(program: Command, io: CommandIo): void {
  const command = program
    .command('get')
    .description('show network policies, workload endpoints, IP sets, services or diagnostics')
    .argument('<kind>', `${getKinds.join(', ')}; plural, any case, or short: np, wep, svc`)
    .argument('[name...]', 'names to show; none: all')
    .addOption(new Option('-n, --namespace <name>', 'namespace (default: "default")'))
    .option('-A, --all-namespaces', 'all namespaces')
    .option('--node <name>', 'IP sets of this node alone; Services as this node serves them')
    .addOption(outputOption(['wide', 'yaml', 'json']));
  addClusterOptions(command)
    .addHelpText(
      'after',
      examples(
        'sluice get networkpolicy -o yaml --manifests examples/seed',
        'sluice get wep -A -o wide',
        'sluice get ipset --node minikube --manifests examples/seed',
        'sluice get service frontend -o yaml --node node2 --manifests examples/traffic-policy-local/manifests',
      ),
    )
    .action(async (kindText: string, names: readonly string[], options: GetOptions) => {
      const kind = getKindOf(kindText);
      if (kind === undefined) {
        throw new CliError(exitCodes.badInput, `get ${kindText}: unknown kind; expected ${getKinds.join(', ')}`);
      }
      const cluster = await loadCluster(options, io);
      const planned = await plannedServices(kind, cluster, options);
      const diagnostics = [...cluster.diagnostics, ...diagnosticsOf(planned, cluster)];
      const table = await tableOf(kind, { ...cluster, diagnostics }, { ...options, planned });
      // Diagnostics are the answer here, so they are not told twice, and having some is no failure.
      if (kind !== 'diagnostic') io.exitCode = reportDiagnostics(diagnostics, io);
      else if (diagnostics.some(({ severity }) => severity === 'error')) io.exitCode = exitCodes.badInput;
      const namespaced = kind === 'diagnostic' && options.namespace === undefined;
      const scope = options.allNamespaces === true || namespaced ? undefined : (options.namespace ?? 'default');
      const text = formatResources(table, {
        names,
        ...(scope === undefined ? {} : { namespace: scope }),
        showNamespace: options.allNamespaces === true,
        output: options.output ?? 'table',
      });
      io.out(text);
    });
}

async function plannedServices(
  kind: GetKind,
  cluster: LoadedCluster,
  { node }: GetOptions,
): Promise<NodeServicePlan | undefined> {
  if (kind !== 'service' && kind !== 'diagnostic') return undefined;
  const { loadServicePlan } = await import('./get/load-service-plan.ts');
  return loadServicePlan(cluster, node);
}

/** An agent has told what is wrong with its Services already. */
function diagnosticsOf(planned: NodeServicePlan | undefined, { socket }: LoadedCluster): readonly Diagnostic[] {
  return socket === undefined && planned !== undefined ? planned.diagnostics : [];
}

interface TableOptions extends GetOptions {
  readonly planned: NodeServicePlan | undefined;
}

async function tableOf(kind: GetKind, cluster: LoadedCluster, options: TableOptions): Promise<ResourceTable> {
  switch (kind) {
    case 'networkpolicy':
      return networkPolicyTable(cluster.state);
    case 'service':
      return serviceTable(cluster.state, options.planned);
    case 'diagnostic':
      return diagnosticTable(cluster.diagnostics);
    case 'workloadendpoint': {
      const { foundInterfaces } = await import('./get/from-agent.ts');
      return workloadEndpointTable(cluster.state, await foundInterfaces(cluster));
    }
    case 'ipset': {
      const { loadIpSets } = await import('./get/load-ip-sets.ts');
      return ipSetTable(await loadIpSets(cluster, options.node));
    }
    default:
      return kind satisfies never;
  }
}
