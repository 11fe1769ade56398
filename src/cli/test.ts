import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { FlowResult } from '../explain/flows.ts';
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

interface TestOptions extends ClusterChoice {
  readonly namespace?: string;
  readonly junit?: string;
  readonly output?: OutputFormat;
  readonly ipFamily?: IpFamily;
}

/** `sluice test FLOWS.yaml` */
export function addTestCommand(program: Command, io: CommandIo): void {
  const command = program
    .command('test')
    .description('check expected flows, with the engine of the agent')
    .argument('<flows>', 'file with a list of {from, to, expect: allowed|denied, dnat?, source?, why?}')
    .option('-n, --namespace <name>', 'namespace of names without one (default: "default")')
    .option('--junit <file>', 'write the results as JUnit XML too')
    .addOption(ipFamilyOption())
    .addOption(outputOption(['yaml', 'json']));
  addClusterOptions(command)
    .addHelpText(
      'after',
      examples(
        'sluice test flows.yaml --manifests policies',
        'sluice test flows.yaml --manifests policies --junit results.xml',
      ),
    )
    .action(async (file: string, options: TestOptions) => testFlows(file, options, io));
}

async function testFlows(file: string, options: TestOptions, io: CommandIo): Promise<void> {
  const [{ parseFlows }, { checkFlows }, { loadModel }] = await Promise.all([
    import('../explain/flow-file.ts'),
    import('../explain/flows.ts'),
    import('./model.ts'),
  ]);
  const { flows, diagnostics } = parseFlows(await readText(file), file);
  const { namespace, ipFamily: family } = options;
  const cluster = await loadCluster(options, io, familiesFor(family));
  const badInput = reportDiagnostics([...cluster.diagnostics, ...diagnostics], io);
  const results = checkFlows(await loadModel(cluster), flows, {
    ...(namespace === undefined ? {} : { namespace }),
    ...(family === undefined ? {} : { family }),
  });
  if (options.junit !== undefined) {
    const { junitXml } = await import('../explain/junit.ts');
    await writeFile(options.junit, junitXml(file, results));
  }
  if (options.output === undefined) io.out(resultsText(file, results, io.colour));
  else io.out((options.output === 'json' ? formatJson : formatYaml)(results.map(plainResult)));
  io.exitCode = exitCodeOf(
    badInput,
    results.every(({ passed }) => passed),
  );
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(exitCodes.badInput, `${file}: cannot be read: ${reason}`, { cause: error });
  }
}

function plainResult({ flow, passed, verdict, reason }: FlowResult): object {
  const { line, ...asked } = flow;
  return {
    ...asked,
    line,
    passed,
    ...(verdict === undefined ? {} : { verdict }),
    ...(reason === '' ? {} : { reason }),
  };
}

function resultsText(file: string, results: readonly FlowResult[], hasColour: boolean): string {
  const paint = terminalPaint(hasColour);
  const failed = results.filter(({ passed }) => !passed);
  const lines = results.map(({ flow, passed, reason }) => {
    const text = `${flow.from} -> ${flow.to} ${flow.expect}${flow.why === undefined ? '' : ` (${flow.why})`}`;
    return passed
      ? `${paint.good('ok')}      ${text}`
      : `${paint.bad('FAILED')}  ${file}:${flow.line}: ${text}: ${reason}`;
  });
  return `${[...lines, `${results.length - failed.length} passed, ${failed.length} failed`].join('\n')}\n`;
}
