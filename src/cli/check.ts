import type { Command } from 'commander';
import { addConfigOptions, configOf } from './config-options.ts';
import { examples } from './examples.ts';
import { exitCodes } from './exit-code.ts';
import type { CommandIo } from './io.ts';
import { formatJson, formatYaml, outputOption } from './output.ts';
import type { OutputFormat } from './output.ts';

/** `sluice check` */
export function addCheckCommand(program: Command, io: CommandIo): void {
  const command = program
    .command('check')
    .description('the preflight alone: does this machine have all that the agent needs?')
    .addOption(outputOption(['yaml', 'json']));
  addConfigOptions(command, ['ipFamilies', 'iptablesBackend', 'serviceProxy', 'clusterCidrs', 'natOutgoing'])
    .addHelpText('after', examples('sluice check', 'sluice check --ip-families ipv4 --iptables-backend legacy -o json'))
    .action(async (options: { readonly output?: OutputFormat }) => {
      const { ipFamilies: families, iptablesBackend, serviceProxy: services, natOutgoing } = configOf(options, io);
      const [{ run }, { detectVariant }, { preflight }] = await Promise.all([
        import('../backends/exec.ts'),
        import('../backends/iptables/variant.ts'),
        import('../backends/preflight.ts'),
      ]);
      const { variant, reason, mixed } = await detectVariant(run, iptablesBackend);
      const missing = await preflight({ run, variant, families, services, natOutgoing });
      if (options.output !== undefined) {
        const answer = {
          ok: missing.length === 0,
          iptablesBackend: variant,
          reason,
          ...(mixed === undefined ? {} : { mixed }),
          missing,
        };
        io.out((options.output === 'json' ? formatJson : formatYaml)(answer));
      } else {
        io.out(`iptables variant: ${variant} (${reason})\n`);
        if (mixed !== undefined) io.out(`warning: ${mixed}\n`);
        for (const { message } of missing) io.out(`missing: ${message}\n`);
        if (missing.length === 0) io.out(`this machine has all that is needed for ${families.join(' and ')}\n`);
        else if (process.getuid?.() !== 0) io.error('sluice: this is not root; run it as root to know\n');
      }
      if (missing.length > 0) io.exitCode = exitCodes.missing;
    });
}
