import { hostname } from 'node:os';
import type { Command } from 'commander';
import { addConfigOptions, configOf } from './config-options.ts';
import { examples } from './examples.ts';
import { exitCodes } from './exit-code.ts';
import type { CommandIo } from './io.ts';

/** `sluice agent` */
export function addAgentCommand(program: Command, io: CommandIo): void {
  addConfigOptions(program.command('agent').description('run the daemon of this node'))
    .addHelpText(
      'after',
      examples(
        'sluice agent --kubeconfig /etc/kubernetes/sluice.conf',
        'sluice agent --manifests /etc/sluice/manifests',
        'sluice agent --config /etc/sluice/sluice.yaml --log-level debug',
      ),
    )
    .action(async (options: object) => {
      const config = configOf(options, io);
      const [{ runAgent }, { isForPeople, messageOf }, { createLogger }] = await Promise.all([
        import('../agent/run-agent.ts'),
        import('../agent/failure.ts'),
        import('../telemetry/logger.ts'),
      ]);
      const logger = createLogger(config.logLevel);
      const nodeName = config.nodeName ?? hostname();
      try {
        await runAgent({ config, nodeName, environment: io.environment, logger }, io.takeInterrupts());
      } catch (error) {
        const why = isForPeople(error) ? { message: messageOf(error) } : { err: error };
        logger.error({ node: nodeName, ...why }, 'agent gave up; its rules stay');
        throw error;
      }
      if (io.interruptedBy === 'SIGINT') io.exitCode = exitCodes.interrupted;
    });
}
