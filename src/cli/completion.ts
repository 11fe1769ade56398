import type { Command } from 'commander';
import { Argument } from 'commander';
import { completionScript, shells } from './completion-script.ts';
import type { CommandTree, Shell } from './completion-script.ts';
import { examples } from './examples.ts';
import { getKinds } from './get/kinds.ts';
import type { CommandIo } from './io.ts';

/** `sluice completion SHELL` */
export function addCompletionCommand(program: Command, io: CommandIo): void {
  program
    .command('completion')
    .description('print a completion script')
    .addArgument(new Argument('<shell>', 'the shell').choices([...shells]))
    .addHelpText(
      'after',
      examples(
        'source <(sluice completion bash)',
        'sluice completion zsh > "${fpath[1]}/_sluice"',
        'sluice completion fish > ~/.config/fish/completions/sluice.fish',
      ),
    )
    .action((shell: Shell) => io.out(completionScript(shell, treeOf(program))));
}

/** The words that may stand at each place, from the commands themselves. */
function treeOf(command: Command): CommandTree {
  const children = command.commands.map(treeOf);
  const flags = command.options.filter(({ hidden }) => !hidden);
  return {
    name: command.name(),
    description: command.description(),
    children,
    words: command.name() === 'get' ? getKinds : command.name() === 'completion' ? shells : [],
    flags: flags.flatMap(({ long, short, description, argChoices = [] }) =>
      long == null ? [] : [{ name: long, ...(short == null ? {} : { short }), description, choices: argChoices }],
    ),
  };
}
