import type { Command } from 'commander';
import { Option } from 'commander';
import type { ConfigKey } from '../config/schema.ts';
import { addClusterOptions, loadCluster, reportDiagnostics } from './cluster.ts';
import type { ClusterChoice } from './cluster.ts';
import { addConfigOptions, configOf } from './config-options.ts';
import { examples } from './examples.ts';
import type { CommandIo } from './io.ts';

interface RenderOptions extends ClusterChoice {
  readonly node: string;
  readonly only?: 'ipset' | 'v4' | 'v6';
  readonly ipFamilies?: string;
}

/** Settings that change what is rendered. */
export const renderKeys: readonly ConfigKey[] = [
  'ipFamilies',
  'podStart',
  'established',
  'hostEgress',
  'hostEndpointAction',
  'invalidDrop',
  'interfacePrefixes',
  'serviceProxy',
  'clusterCidrs',
  'natOutgoing',
  'nodePortAddresses',
  'localhostNodePorts',
  'externalIps',
  'masqueradeAll',
  'localTrafficDetector',
];

/** `sluice render --node NAME` */
export function addRenderCommand(program: Command, io: CommandIo): void {
  const command = program
    .command('render')
    .description('print the exact text for a node: ipset restore, then iptables-restore of IPv4 and of IPv6')
    .requiredOption('--node <name>', 'the node to render for')
    .addOption(new Option('--only <part>', 'one of the three texts').choices(['ipset', 'v4', 'v6']));
  addConfigOptions(addClusterOptions(command), renderKeys)
    .addHelpText(
      'after',
      examples(
        'sluice render --node minikube --manifests examples/seed',
        'sluice render --node minikube --only v4 --manifests examples/seed | grep cali95aa86cbb2a',
        'sluice render --node node2 --service-proxy --manifests examples/nodeport/manifests',
      ),
    )
    .action(async (options: RenderOptions) => {
      const config = configOf(options, io);
      const { compileNode, nodesOf } = await import('./compile-node.ts');
      const { renderText } = await import('./render-text.ts');
      const cluster = await loadCluster(options, io, options.ipFamilies === undefined ? undefined : config.ipFamilies);
      for (const node of nodesOf(cluster.state, options.node)) {
        const { dataplane, diagnostics } = compileNode(cluster.state, node, config);
        io.exitCode = reportDiagnostics([...cluster.diagnostics, ...diagnostics], io);
        io.out(renderText(dataplane, options.only));
      }
    });
}
