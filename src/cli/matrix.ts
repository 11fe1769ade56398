import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { ClusterState } from '../cluster/state.ts';
import type { MatrixPort, MatrixRow } from '../explain/matrix.ts';
import type { Party } from '../explain/names.ts';
import type { IpFamily } from '../lib/ip.ts';
import { addClusterOptions, familiesFor, ipFamilyOption, loadCluster, reportDiagnostics } from './cluster.ts';
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
  readonly ipFamily?: IpFamily;
}

/** `sluice matrix` */
export function addMatrixCommand(program: Command, io: CommandIo): void {
  const command = program
    .command('matrix')
    .description('who can talk to whom')
    .option(
      '--port <port/protocol>',
      'a port to ask for, such as 80 or 53/UDP; may be repeated (default: the ports that the destinations name)',
      collectPort,
      [],
    )
    .option('--from <name...>', 'pods or Deployments that begin connections (default: all pods), node/NAME, outside')
    .option(
      '--to <name...>',
      'pods or Deployments that are connected to (default: all pods), svc/NAME, node/NAME, addresses',
    )
    .option('-n, --namespace <name>', 'pods of this namespace alone')
    .addOption(ipFamilyOption())
    .addOption(outputOption(['yaml', 'json']));
  addClusterOptions(command)
    .addHelpText(
      'after',
      examples(
        'sluice matrix --manifests examples/seed',
        'sluice matrix --port 80 --port 53/UDP --from frontend -o json',
        'sluice matrix --from client outside --to svc/frontend node/node1 node/node2 --manifests examples/nodeport/manifests',
      ),
    )
    .action(async (options: MatrixCommandOptions) => {
      const cluster = await loadCluster(options, io, familiesFor(options.ipFamily));
      io.exitCode = reportDiagnostics(cluster.diagnostics, io);
      const [{ loadModel }, { matrix }] = await Promise.all([import('./model.ts'), import('../explain/matrix.ts')]);
      const from = await partiesNamed(options.from, cluster.state, options.namespace);
      refuseServices(from);
      const to = await partiesNamed(options.to, cluster.state, options.namespace);
      const rows = matrix(await loadModel(cluster), {
        ...(options.port.length === 0 ? {} : { ports: options.port }),
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
        ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
        ...(options.ipFamily === undefined ? {} : { family: options.ipFamily }),
      });
      await tellMissing(to, rows, io);
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

/** Every pod of a Deployment, not its first alone. */
async function partiesNamed(
  names: readonly string[] | undefined,
  state: ClusterState,
  namespace = 'default',
): Promise<readonly Party[] | undefined> {
  if (names === undefined) return undefined;
  const { parseParty, podsOfDeployment } = await import('../explain/names.ts');
  return names.flatMap((name): readonly Party[] => {
    const party = parseParty(name, { state, namespace });
    if (!party.ok) throw new CliError(exitCodes.badInput, `matrix: ${party.message}`);
    if (party.value.kind !== 'pod') return [party.value];
    const { pod } = party.value;
    const isItself = name === pod.name || name === `${pod.namespace}/${pod.name}`;
    if (isItself || pod.deployment === undefined) return [party.value];
    return podsOfDeployment(state, pod.namespace, pod.deployment).map((one) => ({ kind: 'pod', pod: one }));
  });
}

/** Whoever was named and is in no row: nobody would notice. */
async function tellMissing(
  named: readonly Party[] | undefined,
  rows: readonly MatrixRow[],
  io: CommandIo,
): Promise<void> {
  const { nameOfParty } = await import('../explain/names.ts');
  const answered = new Set(rows.map(({ to }) => to));
  for (const name of new Set(named?.map(nameOfParty))) {
    if (answered.has(name)) continue;
    io.error(`sluice: matrix: ${name} names no port, or has no address: name a port with --port\n`);
  }
}

function refuseServices(parties: readonly Party[] | undefined): void {
  const service = parties?.find((party) => party.kind === 'service');
  if (service?.kind !== 'service') return;
  const name = `svc/${service.service.namespace}/${service.service.name}`;
  throw new CliError(exitCodes.badInput, `matrix: ${name} cannot begin a connection: name its pods`);
}
