import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import type { IpFamily } from '../lib/ip.ts';
import type { LabOptions } from '../lab/options.ts';
import { labDefaults } from '../lab/options.ts';
import type { LabState } from '../lab/run-directory.ts';
import { examples } from './examples.ts';
import { exitCodes } from './exit-code.ts';
import type { CommandIo } from './io.ts';
import { OfferedOption } from './offered-option.ts';
import { formatJson, formatYaml, outputOption } from './output.ts';
import type { OutputFormat } from './output.ts';
import { progressLine } from './progress-line.ts';

interface UpOptions {
  readonly name: string;
  readonly nodes?: number;
  readonly cni: 'ptp' | 'bridge';
  readonly ipFamilies: readonly IpFamily[];
  readonly iptables: 'nft' | 'legacy';
  readonly foreground?: boolean;
}

const nameOption = (): Option => new Option('--name <name>', 'name of the lab').default(labDefaults.name);

/** `sluice lab up|exec|status|down` */
export function addLabCommand(program: Command, io: CommandIo): void {
  const lab = program
    .command('lab')
    .description('a cluster of network namespaces on this machine, with real packets')
    .enablePositionalOptions()
    .addHelpText(
      'after',
      examples('sluice lab up examples/seed', 'sluice lab exec frontend -- curl -sS backend', 'sluice lab down'),
    );
  addUp(lab, io);
  addExec(lab, io);
  addStatus(lab, io);
  addDown(lab, io);
}

function addUp(lab: Command, io: CommandIo): void {
  lab
    .command('up')
    .description('build the cluster of a directory of manifests, and go on following the directory')
    .argument('<dir>', 'directory of manifests')
    .addOption(nameOption())
    .option('--nodes <number>', 'number of nodes (default: the Node objects, else one)', parseNumber)
    .addOption(new Option('--cni <kind>', 'how pods are wired').choices(['ptp', 'bridge']).default(labDefaults.cni))
    .addOption(
      new OfferedOption('--ip-families <list>', 'ipv4, ipv6 or both, with a comma', ['ipv4', 'ipv6', 'ipv4,ipv6'])
        .argParser(parseFamilies)
        .default(labDefaults.ipFamilies, labDefaults.ipFamilies.join(',')),
    )
    .addOption(
      new Option('--iptables <variant>', 'iptables variant').choices(['nft', 'legacy']).default(labDefaults.iptables),
    )
    .option('--foreground', 'stay until Ctrl-C, then take the lab away')
    .addHelpText(
      'after',
      examples(
        'sluice lab up examples/seed',
        'sluice lab up my-policies --nodes 3 --cni bridge --ip-families ipv4,ipv6',
      ),
    )
    .action(async (directory: string, options: UpOptions) =>
      up({ ...labDefaults, ...options, directory }, options, io),
    );
}

async function up(labOptions: LabOptions, { foreground = false }: UpOptions, io: CommandIo): Promise<void> {
  const { labForeground, labUp } = await import('../lab/up.ts');
  const { createLogger } = await import('../telemetry/logger.ts');
  const signal = io.takeInterrupts();
  const onProgress = progressLine(io);
  try {
    if (foreground) {
      const logger = createLogger('warn');
      const onReady = ({ messages }: LabState): void => {
        for (const message of messages) io.error(`${message}\n`);
        io.out(`lab ${labOptions.name} is up; Ctrl-C takes it away\n`);
      };
      await labForeground(labOptions, { signal, logger, onProgress, onReady });
    } else {
      const state = await labUp(labOptions, { signal, onProgress });
      for (const message of state.messages) io.error(`${message}\n`);
      io.out(`lab ${state.name} is up: ${state.nodes.length} nodes, ${state.pods.length} pods\n`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  if (signal.aborted) io.exitCode = exitCodes.interrupted;
}

function addExec(lab: Command, io: CommandIo): void {
  lab
    .command('exec')
    .description('run a program in a pod, in node/NAME or in outside')
    .argument('<pod>', 'NS/NAME or NAME: a pod or a Deployment; node/NAME; outside')
    .argument('<command...>', 'the program and its arguments')
    .addOption(nameOption())
    .passThroughOptions()
    .addHelpText(
      'after',
      examples(
        'sluice lab exec frontend -- curl -sS --max-time 2 db',
        'sluice lab exec node/minikube -- iptables-save',
      ),
    )
    .action(async (pod: string, words: readonly string[], { name }: { readonly name: string }) => {
      const { labExec } = await import('../lab/exec.ts');
      // Options are passed through, and with them the `--` that ends ours.
      const [command, ...args] = words[0] === '--' ? words.slice(1) : words;
      // The program in the pod gets Ctrl-C itself; we pass on what it makes of it.
      io.takeInterrupts();
      io.passedExitCode = await labExec(name, pod, [command ?? '', ...args]);
    });
}

function addStatus(lab: Command, io: CommandIo): void {
  lab
    .command('status')
    .description('show a lab: nodes, pods and agents')
    .addOption(nameOption())
    .addOption(outputOption(['yaml', 'json']))
    .addHelpText('after', examples('sluice lab status', 'sluice lab status --name other -o json'))
    .action(async ({ name, output }: { readonly name: string; readonly output?: OutputFormat }) => {
      const [{ labStatus }, { labStatusText }] = await Promise.all([
        import('../lab/status.ts'),
        import('./lab-status-text.ts'),
      ]);
      const status = await labStatus(name);
      if (output === 'json') io.out(formatJson(status));
      else if (output === 'yaml') io.out(formatYaml(status));
      else io.out(labStatusText(status));
    });
}

function addDown(lab: Command, io: CommandIo): void {
  lab
    .command('down')
    .description('take a lab away, with everything that it left')
    .addOption(nameOption())
    .option('--all', 'every lab of this machine')
    .addHelpText('after', examples('sluice lab down', 'sluice lab down --all'))
    .action(async ({ name, all = false }: { readonly name: string; readonly all?: boolean }) => {
      const { labDown } = await import('../lab/down.ts');
      const gone = await labDown(all ? 'all' : { name });
      io.out(gone.length === 0 ? 'no lab was there\n' : `taken away: ${gone.join(', ')}\n`);
    });
}

function parseNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('expected a number.');
  return Number(text);
}

function parseFamilies(text: string): readonly IpFamily[] {
  const families = text.split(',').map((family) => family.trim());
  if (families.every((family) => family === 'ipv4' || family === 'ipv6')) return [...new Set(families)];
  throw new InvalidArgumentError('expected ipv4, ipv6 or ipv4,ipv6.');
}
