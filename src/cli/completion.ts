import type { Command, Option } from 'commander';
import { Argument } from 'commander';
import { completionScript, shells } from './completion-script.ts';
import type { CommandTree, Flag, Shell } from './completion-script.ts';
import { examples } from './examples.ts';
import { getKinds } from './get/kinds.ts';
import type { CommandIo } from './io.ts';
import { OfferedOption } from './offered-option.ts';

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
    flags: flags.flatMap(flagOf),
  };
}

function flagOf(option: Option): readonly Flag[] {
  const { long, short, description, required } = option;
  if (long == null) return [];
  const choices = option instanceof OfferedOption ? option.offered : (option.argChoices ?? []);
  const takes = takesFile.has(long) ? 'file' : required ? 'value' : 'nothing';
  return [{ name: long, ...(short == null ? {} : { short }), description, choices, takes }];
}

const takesFile: ReadonlySet<string> = new Set(['--manifests', '--kubeconfig', '--config', '--run-dir', '--junit']);
