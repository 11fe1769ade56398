import type { Command } from 'commander';
import type { AgentStatus } from '../telemetry/status.ts';
import { askAgent, socketPath } from './agent-client.ts';
import { examples } from './examples.ts';
import { CliError, exitCodes } from './exit-code.ts';
import type { CommandIo } from './io.ts';
import { formatJson, formatYaml, outputOption } from './output.ts';
import type { OutputFormat } from './output.ts';
import { statusText } from './status-text.ts';

interface StatusOptions {
  readonly runDir?: string;
  readonly output?: OutputFormat;
}

/** `sluice status` */
export function addStatusCommand(program: Command, io: CommandIo): void {
  program
    .command('status')
    .description('show the running agent in one screen')
    .option('--run-dir <dir>', "run directory of the agent (default: SLUICE_RUN_DIR, or '/run/sluice')")
    .addOption(outputOption(['yaml', 'json']))
    .addHelpText('after', examples('sluice status', 'sluice status -o json'))
    .action(async ({ runDir, output }: StatusOptions) => {
      const socket = socketPath(runDir, io);
      const answer = await askAgent(socket, '/api/status');
      if (!isStatus(answer)) {
        throw new CliError(
          exitCodes.unreachable,
          `no agent: nothing answers at ${socket}. Start it (sluice agent), or give --run-dir DIR`,
        );
      }
      if (output === 'json') io.out(formatJson(answer));
      else if (output === 'yaml') io.out(formatYaml(answer));
      else io.out(statusText(answer, io.colour));
      if (!answer.ready) io.exitCode = exitCodes.failed;
    });
}

function isStatus(answer: unknown): answer is AgentStatus {
  return typeof answer === 'object' && answer !== null && 'parts' in answer && 'appliedRevision' in answer;
}
