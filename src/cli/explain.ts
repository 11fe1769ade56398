import type { Command } from 'commander';
import { Option } from 'commander';
import type { IpFamily } from '../lib/ip.ts';
import {
  addClusterOptions,
  exitCodeOf,
  familiesFor,
  ipFamilyOption,
  loadCluster,
  reportDiagnostics,
} from './cluster.ts';
import type { ClusterChoice } from './cluster.ts';
import { examples } from './examples.ts';
import { CliError, exitCodes } from './exit-code.ts';
import type { CommandIo } from './io.ts';
import { formatJson, formatYaml, outputOption } from './output.ts';
import type { OutputFormat } from './output.ts';
import { terminalPaint } from './paint.ts';

interface ExplainOptions extends ClusterChoice {
  readonly namespace?: string;
  readonly expect?: 'allowed' | 'denied';
  readonly verbose?: boolean;
  readonly output?: OutputFormat;
  readonly ipFamily?: IpFamily;
}

/** `sluice explain FROM TO:PORT[/PROTO]` */
export function addExplainCommand(program: Command, io: CommandIo): void {
  const command = program
    .command('explain')
    .description("a packet's way, step by step, and the verdict")
    .argument('<from>', 'NS/NAME or NAME (a pod or a Deployment), node/NAME, outside, or an address')
    .argument('<to>', 'the same, or svc/NS/NAME, with :PORT and perhaps /PROTOCOL')
    .option('-n, --namespace <name>', 'namespace of names without one (default: "default")')
    .addOption(
      new Option('--expect <verdict>', 'exit with 1 unless this is the verdict').choices(['allowed', 'denied']),
    )
    .addOption(ipFamilyOption())
    .option('-v, --verbose', 'every rule that matched')
    .addOption(outputOption(['yaml', 'json']));
  addClusterOptions(command)
    .addHelpText(
      'after',
      examples(
        'sluice explain frontend db:80 --manifests examples/seed',
        'sluice explain frontend svc/db:80 --expect denied --manifests examples/seed',
        'sluice explain outside 10.88.0.26:80/TCP -o json',
      ),
    )
    .action(async (from: string, to: string, options: ExplainOptions) => explainQuestion(from, to, { options, io }));
}

interface Context {
  readonly options: ExplainOptions;
  readonly io: CommandIo;
}

async function explainQuestion(from: string, to: string, { options, io }: Context): Promise<void> {
  const { namespace, expect, output, ipFamily, verbose = false } = options;
  const cluster = await loadCluster(options, io, familiesFor(ipFamily));
  const badInput = reportDiagnostics(cluster.diagnostics, io);
  const [{ loadModel }, { parseQuestion }, { investigate }] = await Promise.all([
    import('./model.ts'),
    import('../explain/question.ts'),
    import('../explain/investigate.ts'),
  ]);
  const names = {
    state: cluster.state,
    ...(namespace === undefined ? {} : { namespace }),
    ...(ipFamily === undefined ? {} : { family: ipFamily }),
  };
  const question = parseQuestion(from, to, names);
  if (!question.ok) throw new CliError(exitCodes.badInput, `explain: ${question.message}`);
  const model = await loadModel(cluster);
  const investigation = investigate(model, question.value);
  if (output === undefined) {
    const { renderExplanation } = await import('../explain/render-text.ts');
    io.out(renderExplanation(model, investigation, { paint: terminalPaint(io.colour), verbose }));
  } else {
    const { explanationOf } = await import('../explain/explain.ts');
    const answer = explanationOf(model, investigation);
    io.out(output === 'json' ? formatJson(answer) : formatYaml(answer));
  }
  const isAsExpected = expect === undefined || expect === investigation.verdict;
  if (!isAsExpected) io.error(`sluice: expected ${expect}, is ${investigation.verdict}\n`);
  io.exitCode = exitCodeOf(badInput, isAsExpected);
}
