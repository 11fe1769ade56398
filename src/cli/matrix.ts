import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { Pod } from '../cluster/objects.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { MatrixPort } from '../explain/matrix.ts';
import { addClusterOptions, loadCluster, reportDiagnostics } from './cluster.ts';
import type { ClusterChoice } from './cluster.ts';
import { examples } from './examples.ts';
import { CliError, exitCodes } from './exit-code.ts';
import type { CommandIo } from './io.ts';
import { matrixText } from './matrix-text.ts';
import { formatJson, formatYaml, outputOption } from './output.ts';
import type { OutputFormat } from './output.ts';

interface MatrixCommandOptions extends ClusterChoice {
  readonly port: readonly MatrixPort[];
  readonly from?: readonly string[];
  readonly to?: readonly string[];
  readonly namespace?: string;
  readonly output?: OutputFormat;
}

/** `sluice matrix` */
export function addMatrixCommand(program: Command, io: CommandIo): void {
  const command = program
    .command('matrix')
    .description('who can talk to whom')
    .option(
      '--port <port/protocol>',
      'a port to ask for, such as 80 or 53/UDP; may be repeated (default: the ports that pods name)',
      collectPort,
      [],
    )
    .option('--from <name...>', 'pods or Deployments that begin connections')
    .option('--to <name...>', 'pods or Deployments that are connected to')
    .option('-n, --namespace <name>', 'pods of this namespace alone')
    .addOption(outputOption(['yaml', 'json']));
  addClusterOptions(command)
    .addHelpText(
      'after',
      examples(
        'sluice matrix --manifests examples/seed',
        'sluice matrix --port 80 --port 53/UDP --from frontend -o json',
      ),
    )
    .action(async (options: MatrixCommandOptions) => {
      const cluster = await loadCluster(options, io);
      io.exitCode = reportDiagnostics(cluster.diagnostics, io);
      const [{ loadModel }, { matrix }] = await Promise.all([import('./model.ts'), import('../explain/matrix.ts')]);
      const from = await podsNamed(options.from, cluster.state, options.namespace);
      const to = await podsNamed(options.to, cluster.state, options.namespace);
      const rows = matrix(await loadModel(cluster), {
        ...(options.port.length === 0 ? {} : { ports: options.port }),
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
        ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
      });
      if (options.output === 'json') io.out(formatJson(rows));
      else if (options.output === 'yaml') io.out(formatYaml(rows));
      else io.out(matrixText(rows, io.colour));
    });
}

function collectPort(text: string, before: readonly MatrixPort[]): readonly MatrixPort[] {
  const [, number, protocol = 'TCP'] = /^(\d+)(?:\/(\w+))?$/.exec(text) ?? [];
  const upper = protocol.toUpperCase();
  const port = Number(number);
  if (number === undefined || port < 1 || port > 65_535)
    throw new InvalidArgumentError('expected a port such as 80 or 53/UDP.');
  if (upper !== 'TCP' && upper !== 'UDP' && upper !== 'SCTP')
    throw new InvalidArgumentError('expected TCP, UDP or SCTP.');
  return [...before, { port, protocol: upper }];
}

/** Every pod of a Deployment, not its first alone: the matrix is of pods. */
async function podsNamed(
  names: readonly string[] | undefined,
  state: ClusterState,
  namespace = 'default',
): Promise<readonly Pod[] | undefined> {
  if (names === undefined) return undefined;
  const { parseParty, podsOfDeployment } = await import('../explain/names.ts');
  return names.flatMap((name) => {
    const party = parseParty(name, { state, namespace });
    if (!party.ok) throw new CliError(exitCodes.badInput, `matrix: ${party.message}`);
    if (party.value.kind !== 'pod')
      throw new CliError(exitCodes.badInput, `matrix: ${name} is not a pod or a Deployment`);
    const { pod } = party.value;
    const isItself = name === pod.name || name === `${pod.namespace}/${pod.name}`;
    return isItself || pod.deployment === undefined ? [pod] : podsOfDeployment(state, pod.namespace, pod.deployment);
  });
}
