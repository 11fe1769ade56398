import type { Command } from 'commander';
import { askAgent, socketPath } from './agent-client.ts';
import { addConfigOptions, configOf } from './config-options.ts';
import { examples } from './examples.ts';
import { CliError, exitCodes } from './exit-code.ts';
import type { CommandIo } from './io.ts';

/** `sluice cleanup` */
export function addCleanupCommand(program: Command, io: CommandIo): void {
  const command = program
    .command('cleanup')
    .description(
      'take everything of Sluice off this node: chains, rules and sets, in an order that drops no allowed traffic',
    )
    .option('--services', 'the KUBE chains too (only where Sluice served Services, and no kube-proxy does)');
  addConfigOptions(command, ['runDir', 'iptablesBackend'])
    .addHelpText('after', examples('sluice cleanup', 'sluice cleanup --services'))
    .action(async (options: { readonly services?: boolean }) => {
      const config = configOf(options, io);
      const { lackedPrivilege } = await import('../backends/privilege.ts');
      const lacked = lackedPrivilege();
      if (lacked !== undefined) {
        const why = 'it takes chains, rules and sets out of the kernel';
        throw new CliError(exitCodes.missing, `cleanup needs ${lacked}: ${why}`);
      }
      const socket = socketPath(config.runDir, io);
      if ((await askAgent(socket, '/api/status')) !== undefined) {
        throw new CliError(
          exitCodes.badInput,
          `cleanup: an agent is running (it answers at ${socket}) and would put everything back; stop it first`,
        );
      }
      const { cleanNode } = await import('../agent/clean-node.ts');
      const { removed, sysctls } = await cleanNode({ ...config, services: options.services ?? false });
      io.out(
        removed === 0 ? 'nothing of Sluice was on this node\n' : `took Sluice off this node in ${removed} steps\n`,
      );
      for (const [name, before] of Object.entries(sysctls)) {
        io.out(`${name} was ${before} before Sluice set it; to go back: sysctl -w ${name}=${before}\n`);
      }
    });
}
