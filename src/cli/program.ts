/** The command tree. */
import { Command } from 'commander';
import { sluiceVersion } from '../telemetry/version.ts';
import { addAgentCommand } from './agent.ts';
import { addCheckCommand } from './check.ts';
import { addCleanupCommand } from './cleanup.ts';
import { addCompletionCommand } from './completion.ts';
import { addDemoCommand } from './demo.ts';
import { examples } from './examples.ts';
import { addExplainCommand } from './explain.ts';
import { addGetCommand } from './get.ts';
import type { CommandIo } from './io.ts';
import { addLabCommand } from './lab.ts';
import { addMatrixCommand } from './matrix.ts';
import { addRenderCommand } from './render.ts';
import { addStatusCommand } from './status.ts';
import { addTestCommand } from './test.ts';
import { addVersionCommand } from './version.ts';

const addCommands = [
  addAgentCommand,
  addRenderCommand,
  addExplainCommand,
  addMatrixCommand,
  addTestCommand,
  addGetCommand,
  addStatusCommand,
  addCheckCommand,
  addVersionCommand,
  addCleanupCommand,
  addLabCommand,
  addDemoCommand,
  addCompletionCommand,
];

export function createProgram(io: CommandIo): Command {
  const program = new Command('sluice')
    .description(
      'A Kubernetes node agent: NetworkPolicy by ipsets and Calico-style iptables chains, and an explanation for every packet.',
    )
    .version(sluiceVersion(), '-V, --version', 'print the version')
    .exitOverride()
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for usage)')
    .configureOutput({ writeOut: (text) => io.out(text), writeErr: (text) => io.error(text) })
    .addHelpText('after', examples('sluice explain frontend db:80 --manifests examples/seed'));
  for (const add of addCommands) add(program, io);
  return program;
}
