/** The command tree. */
import { Command } from 'commander';
import { sluiceVersion } from '../telemetry/version.ts';
import { addAgentCommand } from './agent.ts';
import { addCheckCommand } from './check.ts';
import { addCleanupCommand } from './cleanup.ts';
import { addCompletionCommand } from './completion.ts';
import { examples } from './examples.ts';
import { addExplainCommand } from './explain.ts';
import { addGetCommand } from './get.ts';
import type { CommandIo } from './io.ts';
import { addMatrixCommand } from './matrix.ts';
import { addRenderCommand } from './render.ts';
import { addStatusCommand } from './status.ts';
import { addTestCommand } from './test.ts';
import { addVersionCommand } from './version.ts';

/** Adds one command to the tree. */
export type AddCommand = (program: Command, io: CommandIo) => void;

/** What a node's image has too. */
const nodeCommands: readonly AddCommand[] = [
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
];

/** `others`: commands that need more than a node has. */
export function createProgram(io: CommandIo, others: readonly AddCommand[]): Command {
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
  for (const add of [...nodeCommands, ...others, addCompletionCommand]) add(program, io);
  return program;
}
