import { release } from 'node:os';
import type { Command } from 'commander';
import { sluiceVersion } from '../telemetry/version.ts';
import { examples } from './examples.ts';
import type { CommandIo } from './io.ts';
import { formatJson, formatYaml, outputOption } from './output.ts';
import type { OutputFormat } from './output.ts';

/** `sluice version` */
export function addVersionCommand(program: Command, io: CommandIo): void {
  program
    .command('version')
    .description('print the versions of Sluice and of what it works with')
    .addOption(outputOption(['yaml', 'json']))
    .addHelpText('after', examples('sluice version -o json'))
    .action(async ({ output }: { readonly output?: OutputFormat }) => {
      const versions = await readVersions();
      if (output === 'json') io.out(formatJson(versions));
      else if (output === 'yaml') io.out(formatYaml(versions));
      else
        for (const [name, version] of Object.entries(versions)) io.out(`${name.padEnd(10)}${version ?? 'not found'}\n`);
    });
}

async function readVersions(): Promise<Readonly<Record<string, string | null>>> {
  const [iptables, ipset] = await Promise.all([
    outputOf(['iptables', '--version'], /v(\S+(?: \(\w+\))?)/),
    outputOf(['ipset', '--version'], /v([\d.]+)/),
  ]);
  return { sluice: sluiceVersion(), node: process.versions.node, kernel: release(), iptables, ipset };
}

/** What `pattern` finds in the program's words; null where there is no such program. */
async function outputOf(argv: readonly [string, ...string[]], pattern: RegExp): Promise<string | null> {
  const { CommandError, run } = await import('../backends/exec.ts');
  try {
    const { stdout } = await run(argv, { timeoutMs: 5000 });
    return pattern.exec(stdout)?.[1] ?? stdout.trim();
  } catch (error) {
    if (error instanceof CommandError) return null;
    throw error;
  }
}
