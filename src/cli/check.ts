import type { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { addConfigOptions, configOf } from './config-options.ts';
import { examples } from './examples.ts';
import { CliError, exitCodes } from './exit-code.ts';
import type { CommandIo } from './io.ts';
import { formatJson, formatYaml, outputOption } from './output.ts';
import type { OutputFormat } from './output.ts';

interface CheckOptions {
  readonly output?: OutputFormat;
}

/** `sluice check` */
export function addCheckCommand(program: Command, io: CommandIo): void {
  const command = program
    .command('check')
    .description('the preflight alone: does this machine have all that the agent needs?')
    .addOption(outputOption(['yaml', 'json']));
  addConfigOptions(command, ['ipFamilies', 'iptablesBackend', 'serviceProxy', 'clusterCidrs', 'natOutgoing'])
    .addHelpText('after', examples('sluice check', 'sluice check --ip-families ipv4 --iptables-backend legacy -o json'))
    .action(async (options: CheckOptions) => checkNode(options, configOf(options, io), io));
}

async function checkNode({ output }: CheckOptions, config: Config, io: CommandIo): Promise<void> {
  const { ipFamilies: families, iptablesBackend, serviceProxy: services, natOutgoing } = config;
  const [{ run }, { detectVariant, readProc }, { preflight }, { lackedPrivilege }] = await Promise.all([
    import('../backends/exec.ts'),
    import('../backends/iptables/variant.ts'),
    import('../backends/preflight.ts'),
    import('../backends/privilege.ts'),
  ]);
  const lacked = lackedPrivilege();
  if (lacked !== undefined) return refuse(lacked, output, io);
  const { variant, reason, mixed } = await detectVariant({ run, readProc }, iptablesBackend);
  const missing = await preflight({ run, variant, families, services, natOutgoing });
  if (missing.length > 0) io.exitCode = exitCodes.missing;
  if (output !== undefined) {
    const ok = missing.length === 0;
    const found = { ok, iptablesBackend: variant, reason, ...(mixed === undefined ? {} : { mixed }), missing };
    return io.out((output === 'json' ? formatJson : formatYaml)(found));
  }
  io.out(`iptables variant: ${variant} (${reason})\n`);
  if (mixed !== undefined) io.out(`warning: ${mixed}\n`);
  for (const { message } of missing) io.out(`missing: ${message}\n`);
  if (missing.length === 0) io.out(`this machine has all that is needed for ${families.join(' and ')}\n`);
}

/** The kernel answers nobody else: each thing that was tried would seem to be missing. */
function refuse(lacked: string, output: OutputFormat | undefined, io: CommandIo): void {
  const message = `check needs ${lacked}: it tries everything on the kernel`;
  if (output === undefined) throw new CliError(exitCodes.missing, message);
  const missing = [{ kind: 'privilege', name: lacked, message }];
  io.out((output === 'json' ? formatJson : formatYaml)({ ok: false, missing }));
  io.exitCode = exitCodes.missing;
}
